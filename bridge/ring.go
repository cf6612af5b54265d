package bridge

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// RingSize is the size of each ring in bytes, a power of two and a multiple of
// the page size. Small enough to stay in a core's second-level cache while it
// is cycled through, large enough for a batch of uploads.
const RingSize = 1 << 20

// maxRecord bounds a record. A request head is at most 64 KiB by default and
// 128 KiB by flag, a body part at most [asgi.Window].
const maxRecord = RingSize / 4

// The layout of the shared memory: a page of cursors, each on a cache line of
// its own, then the two rings. record.h repeats it for the C side, which checks
// layoutMagic and the size when it attaches.
const (
	layoutMagic = 0x31_49_47_53_41_4f_47_00 // "\0GOASGI1"

	offMagic     = 0
	offSize      = 8
	offProcess   = 16 // id of the front's process
	offIn        = 64
	offOut       = 320
	ringsOffset  = 4096
	memorySize   = ringsOffset + 2*RingSize
	cursorTail   = 0   // written by the producer
	cursorHead   = 64  // written by the consumer
	cursorSleeps = 128 // 1: the consumer sleeps and wants a wake-up for a record
	cursorWaits  = 192 // 1: the producer found no room and wants a wake-up for it
)

// ring is one direction of a link as one side sees it: a single-producer,
// single-consumer queue of records in shared memory. The memory is mapped twice
// in a row, so that a record is contiguous wherever it begins.
//
// Each side uses it from one goroutine or thread. tail and head count bytes
// since the beginning and are never reduced modulo the size.
type ring struct {
	data   unsafe.Pointer // 2*RingSize bytes: the ring, and the ring again
	tail   *atomic.Uint64
	head   *atomic.Uint64
	sleeps *atomic.Uint32
	waits  *atomic.Uint32

	mine   uint64 // this side's own cursor
	theirs uint64 // the other side's cursor when it was last looked at
}

func newRing(header unsafe.Pointer, cursors uintptr, data unsafe.Pointer) ring {
	at := func(o uintptr) unsafe.Pointer { return unsafe.Add(header, cursors+o) }
	return ring{
		data:   data,
		tail:   (*atomic.Uint64)(at(cursorTail)),
		head:   (*atomic.Uint64)(at(cursorHead)),
		sleeps: (*atomic.Uint32)(at(cursorSleeps)),
		waits:  (*atomic.Uint32)(at(cursorWaits)),
	}
}

func align(n int) uint64 { return (uint64(n) + 7) &^ 7 }

// reserve returns room for a record of n bytes at the tail, or nil. The
// producer fills it and calls commit.
func (r *ring) reserve(n int) []byte {
	need := align(n)
	if r.mine+need-r.theirs > RingSize {
		r.theirs = r.head.Load()
		if r.overrun() || r.mine+need-r.theirs > RingSize {
			return nil
		}
	}
	return unsafe.Slice((*byte)(unsafe.Add(r.data, r.mine%RingSize)), n)
}

// overrun tells whether the consumer's cursor, as last looked at, contradicts
// the producer's.
func (r *ring) overrun() bool { return r.mine-r.theirs > RingSize }

// commit publishes the record of n bytes that reserve made room for.
func (r *ring) commit(n int) {
	r.mine += align(n)
	r.tail.Store(r.mine)
}

// next returns the committed bytes from the head on, which the consumer may
// read: at least one record, or none. ok is false if the cursors contradict
// each other.
func (r *ring) next() (committed []byte, ok bool) {
	if r.theirs == r.mine {
		r.theirs = r.tail.Load()
		if r.theirs == r.mine {
			return nil, true
		}
	}
	n := r.theirs - r.mine
	if n > RingSize || n%8 != 0 {
		return nil, false
	}
	return unsafe.Slice((*byte)(unsafe.Add(r.data, r.mine%RingSize)), n), true
}

// release frees the record of n bytes at the head.
func (r *ring) release(n int) {
	r.mine += align(n)
	r.head.Store(r.mine)
}

// memory is the mapping of a link's shared memory.
type memory struct {
	fd     int
	header unsafe.Pointer
	rings  [2]unsafe.Pointer
}

// newMemory makes and maps the memfd. Children that the application forks do
// not inherit the mapping (MADV_DONTFORK): they could only disturb it.
func newMemory() (m memory, err error) {
	m.fd, err = unix.MemfdCreate("goasgi-link", unix.MFD_CLOEXEC)
	if err != nil {
		return m, fmt.Errorf("bridge: memfd_create: %w", err)
	}
	if err := unix.Ftruncate(m.fd, memorySize); err != nil {
		unix.Close(m.fd)
		return m, fmt.Errorf("bridge: cannot get %d bytes of shared memory: %w", memorySize, err)
	}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	const rw = unix.PROT_READ | unix.PROT_WRITE
	m.header, err = unix.MmapPtr(m.fd, 0, nil, ringsOffset, rw, unix.MAP_SHARED)
	if err != nil {
		return m, fmt.Errorf("bridge: mmap: %w", err)
	}
	unix.Madvise(unsafe.Slice((*byte)(m.header), ringsOffset), unix.MADV_DONTFORK)
	for i := range m.rings {
		// Reserve the addresses first, then lay the ring over both halves.
		base, err := unix.MmapPtr(-1, 0, nil, 2*RingSize, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			return m, fmt.Errorf("bridge: mmap: %w", err)
		}
		m.rings[i] = base
		for half := range 2 {
			at := unsafe.Add(base, half*RingSize)
			if _, err := unix.MmapPtr(m.fd, int64(ringsOffset+i*RingSize), at, RingSize, rw, unix.MAP_SHARED|unix.MAP_FIXED); err != nil {
				return m, fmt.Errorf("bridge: mmap: %w", err)
			}
		}
		unix.Madvise(unsafe.Slice((*byte)(base), 2*RingSize), unix.MADV_DONTFORK)
	}
	*(*uint64)(unsafe.Add(m.header, offMagic)) = layoutMagic
	*(*uint64)(unsafe.Add(m.header, offSize)) = RingSize
	*(*uint64)(unsafe.Add(m.header, offProcess)) = uint64(unix.Getpid())
	return m, nil
}

func (m *memory) close() {
	if m.header != nil {
		unix.MunmapPtr(m.header, ringsOffset)
		m.header = nil
	}
	for i, base := range m.rings {
		if base != nil {
			unix.MunmapPtr(base, 2*RingSize)
			m.rings[i] = nil
		}
	}
	unix.Close(m.fd)
}
