package bridge

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sides returns a ring as its two sides see it. In Go's own memory, which the
// race detector watches, nothing is mapped twice; nothing need be, because both
// sides find a record at the same address.
func sides(t testing.TB, shared bool) (producer, consumer *ring) {
	t.Helper()
	var header, data unsafe.Pointer
	if shared {
		m, err := newMemory()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.close)
		header, data = m.header, m.rings[0]
	} else {
		words := make([]uint64, (ringsOffset+2*RingSize)/8)
		header = unsafe.Pointer(&words[0])
		data = unsafe.Add(header, ringsOffset)
	}
	p, c := newRing(header, offIn, data), newRing(header, offIn, data)
	return &p, &c
}

func eachMemory(t *testing.T, f func(t *testing.T, shared bool)) {
	t.Run("shared", func(t *testing.T) { f(t, true) })
	t.Run("heap", func(t *testing.T) { f(t, false) })
}

// fillRecord writes a record that checkRecord recognises.
func fillRecord(b []byte, number uint32) {
	native.PutUint32(b, uint32(len(b)))
	native.PutUint32(b[4:], number)
	for i := 8; i < len(b); i += stride(b) {
		b[i] = byte(uint32(i)*7 + number)
	}
}

// stride spares most bytes of a long record.
func stride(b []byte) int { return 1 + len(b)/64 }

func checkRecord(t testing.TB, b []byte, number uint32) {
	t.Helper()
	if got := native.Uint32(b[4:]); got != number {
		t.Fatalf("record %d where %d was to come", got, number)
	}
	for i := 8; i < len(b); i += stride(b) {
		if b[i] != byte(uint32(i)*7+number) {
			t.Fatalf("record %d of %d bytes: byte %d is wrong", number, len(b), i)
		}
	}
}

func TestRingWrapsAround(t *testing.T) {
	eachMemory(t, func(t *testing.T, shared bool) {
		p, c := sides(t, shared)
		written, read := uint32(0), uint32(0)
		for p.mine < 5*RingSize {
			for size := 16; size < 200_000; size = size*5/4 + 3 {
				b := p.reserve(size)
				if b == nil {
					break
				}
				if len(b) != size {
					t.Fatalf("reserve(%d) returned %d bytes", size, len(b))
				}
				fillRecord(b, written)
				p.commit(size)
				written++
			}
			for {
				committed, ok := c.next()
				if !ok {
					t.Fatal("cursors contradict each other")
				}
				if len(committed) == 0 {
					break
				}
				n := int(native.Uint32(committed))
				checkRecord(t, committed[:n], read)
				c.release(n)
				read++
			}
			if read != written {
				t.Fatalf("%d records written, %d read", written, read)
			}
		}
	})
}

// The second half of the mapping is the first again.
func TestRingIsMappedTwice(t *testing.T) {
	m, err := newMemory()
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	for i, base := range m.rings {
		data := unsafe.Slice((*byte)(base), 2*RingSize)
		for at := 0; at < RingSize; at += 4095 {
			data[at] = byte(at + i)
			if data[RingSize+at] != byte(at+i) {
				t.Fatalf("ring %d differs from its second mapping at %d", i, at)
			}
			data[RingSize+at]++
			if data[at] != byte(at+i+1) {
				t.Fatalf("ring %d does not follow its second mapping at %d", i, at)
			}
		}
	}
	if &unsafe.Slice((*byte)(m.rings[0]), 1)[0] == &unsafe.Slice((*byte)(m.rings[1]), 1)[0] {
		t.Fatal("both rings are one")
	}
}

func TestRingFull(t *testing.T) {
	p, c := sides(t, true)
	if p.reserve(RingSize+1) != nil {
		t.Error("more than the ring holds was reserved")
	}
	for range RingSize / 64 {
		if p.reserve(57) == nil {
			t.Fatal("no room in a ring that is not full")
		}
		p.commit(57)
	}
	if p.reserve(1) != nil {
		t.Fatal("room in a full ring")
	}
	committed, ok := c.next()
	if !ok || len(committed) != RingSize {
		t.Fatalf("%d bytes committed, want all %d", len(committed), RingSize)
	}
	c.release(57)
	if p.reserve(65) != nil {
		t.Error("room for 65 bytes where 64 were released")
	}
	if p.reserve(64) == nil {
		t.Error("no room where 64 bytes were released")
	}
}

func TestRingContradiction(t *testing.T) {
	for _, tail := range []uint64{1, 7, 9, RingSize + 8, 2 * RingSize, 1 << 63, 1<<64 - 8} {
		p, c := sides(t, false)
		p.tail.Store(tail)
		if b, ok := c.next(); ok {
			t.Errorf("tail %d: %d bytes to read", tail, len(b))
		}
	}
	for _, head := range []uint64{RingSize + 8, 2 * RingSize, 1 << 63, 1<<64 - 8} {
		p, _ := sides(t, false)
		for p.reserve(RingSize/4) != nil {
			p.commit(RingSize / 4)
		}
		p.head.Store(head)
		if p.reserve(64) != nil || !p.overrun() {
			t.Errorf("head %d: room was found", head)
		}
	}
}

// The two sides in two goroutines, with everything that they do to wait for
// each other: no record is lost, torn or read early, and no wake-up is lost.
func TestRingConcurrent(t *testing.T) {
	eachMemory(t, func(t *testing.T, shared bool) {
		p, c := sides(t, shared)
		records := uint32(300_000)
		if testing.Short() || raceEnabled {
			records = 60_000
		}
		var wakeConsumer, wakeProducer = newEventfd(t), newEventfd(t)
		var done sync.WaitGroup
		done.Go(func() {
			random := rand.New(rand.NewPCG(1, 2))
			for number := range records {
				size := 8 + random.IntN(64)
				if random.IntN(64) == 0 {
					size = 8 + random.IntN(100_000)
				}
				b := p.reserve(size)
				for b == nil {
					p.waits.Store(1)
					if b = p.reserve(size); b == nil {
						if !wakeProducer.wait(t) {
							return
						}
						b = p.reserve(size)
					}
				}
				fillRecord(b, number)
				p.commit(size)
				if p.sleeps.Load() != 0 && p.sleeps.Swap(0) != 0 {
					wake(wakeConsumer.fd)
				}
			}
		})
		done.Go(func() {
			for number := uint32(0); number < records; {
				committed, ok := c.next()
				if !ok {
					t.Error("cursors contradict each other")
					return
				}
				if len(committed) == 0 {
					c.sleeps.Store(1)
					if c.tail.Load() == c.mine {
						if !wakeConsumer.wait(t) {
							return
						}
					}
					c.sleeps.Store(0)
					continue
				}
				n := int(native.Uint32(committed))
				if number%64 == 0 || n < 128 {
					checkRecord(t, committed[:n], number)
				}
				c.release(n)
				if c.waits.Load() != 0 && c.waits.Swap(0) != 0 {
					wake(wakeProducer.fd)
				}
				number++
			}
		})
		done.Wait()
	})
}

// An eventfd of a test is waited for as an I/O loop does it: by an edge.
type eventfd struct{ fd, epoll int }

func newEventfd(t testing.TB) eventfd {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return edges(t, fd)
}

func edges(t testing.TB, fd int) eventfd {
	t.Helper()
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(epoll) })
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		t.Fatal(err)
	}
	return eventfd{fd, epoll}
}

// wait returns false, and fails the test, if nobody wakes it for very long.
func (e eventfd) wait(t testing.TB) bool {
	var events [1]unix.EpollEvent
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		n, err := unix.EpollWait(e.epoll, events[:], 1000)
		if n == 1 {
			return true
		}
		if err != nil && err != unix.EINTR {
			t.Error(err)
			return false
		}
	}
	t.Error("a wake-up was lost")
	return false
}

// ready tells whether an edge has come since the last look.
func (e eventfd) ready() bool {
	var events [1]unix.EpollEvent
	n, _ := unix.EpollWait(e.epoll, events[:], 0)
	return n == 1
}

// FuzzRing lets any order of writes, reads and damage happen to a ring, and
// compares it with a queue.
func FuzzRing(f *testing.F) {
	f.Add([]byte{0, 16, 0, 1, 0, 0})
	f.Add(bytes.Repeat([]byte{0, 0xff, 0xff, 0, 0xff, 0x7f, 1, 0, 0}, 40))
	f.Add(bytes.Repeat([]byte{0, 0xff, 0xff}, 20))
	f.Add([]byte{0, 100, 0, 2, 1, 0, 1, 0, 0})
	f.Add([]byte{0, 100, 0, 3, 1, 0, 0, 0xff, 0xff})
	words := make([]uint64, (ringsOffset+2*RingSize)/8)
	header := unsafe.Pointer(&words[0])
	f.Fuzz(func(t *testing.T, ops []byte) {
		clear(words[:ringsOffset/8])
		data := unsafe.Add(header, ringsOffset)
		p, c := newRing(header, offIn, data), newRing(header, offIn, data)
		var queue []int // sizes of the records that are in the ring
		used, first, next := uint64(0), uint32(0), uint32(0)
		for ; len(ops) >= 3; ops = ops[3:] {
			argument := int(binary.LittleEndian.Uint16(ops[1:]))
			switch ops[0] % 4 {
			case 0: // write
				size := 8 + argument*4
				b := p.reserve(size)
				if fits := used+align(size) <= RingSize; (b != nil) != fits {
					t.Fatalf("reserve(%d) with %d bytes used: %v", size, used, b != nil)
				}
				if b == nil {
					break
				}
				fillRecord(b, next)
				p.commit(size)
				used += align(size)
				queue = append(queue, size)
				next++
			case 1: // read
				committed, ok := c.next()
				if !ok || (len(committed) == 0) != (len(queue) == 0) || uint64(len(committed)) > used {
					t.Fatalf("%d bytes to read of %d, %v", len(committed), used, ok)
				}
				if len(queue) == 0 {
					break
				}
				if n := int(native.Uint32(committed)); n != queue[0] {
					t.Fatalf("a record of %d bytes, want %d", n, queue[0])
				}
				checkRecord(t, committed[:queue[0]], first)
				c.release(queue[0])
				used -= align(queue[0])
				queue = queue[1:]
				first++
			case 2: // the tail is overwritten: nothing beyond the ring is read
				p.tail.Store(uint64(argument) << (ops[0] / 4))
				c.theirs = c.mine
				if b, ok := c.next(); ok && (len(b) > RingSize || len(b)%8 != 0) {
					t.Fatalf("%d bytes to read", len(b))
				}
				return
			case 3: // the head is overwritten: nothing beyond the ring is written
				c.head.Store(uint64(argument) << (ops[0] / 4))
				for size := 16; size < 2*RingSize; size *= 2 {
					if b := p.reserve(size); b != nil && (len(b) != size || size > RingSize) {
						t.Fatalf("%d bytes reserved of %d", len(b), size)
					}
				}
				return
			}
		}
	})
}
