package server

import "time"

// A timerList holds connections that wait for the same length of time. Since
// each is added at the end, the list is in the order of the deadlines: adding,
// removing and finding the nearest cost a few pointers and no memory.
//
// A connection is in at most one list.
type timerList struct {
	first, last *conn
	span        int64 // nanoseconds
}

// add puts c at the end, with a deadline one span from now. It takes c out of
// the list that it was in.
func (t *timerList) add(c *conn, now int64) {
	if c.timer != nil {
		c.timer.remove(c)
	}
	c.timer, c.deadline = t, now+t.span
	c.prev, c.next = t.last, nil
	if t.last != nil {
		t.last.next = c
	} else {
		t.first = c
	}
	t.last = c
}

func (t *timerList) remove(c *conn) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		t.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		t.last = c.prev
	}
	c.prev, c.next, c.timer = nil, nil, nil
}

// shorten sets another span, for those that wait already too.
func (t *timerList) shorten(span, now int64) {
	t.span = span
	for c := t.first; c != nil; c = c.next {
		c.deadline = min(c.deadline, now+span)
	}
}

// never is a deadline that does not come.
const never = int64(1<<63 - 1)

// tick reads the clock: once for each batch, since everything in a batch may
// happen at the same time.
func (l *loop) tick() {
	t := time.Now()
	l.now = int64(t.Sub(l.epoch))
	if s := t.Unix(); s != l.second {
		l.second = s
		l.date = append(t.UTC().AppendFormat(append(l.date[:0], "date: "...), "Mon, 02 Jan 2006 15:04:05 GMT"), "\r\n"...)
	}
}

// timeout returns for how many milliseconds the loop may wait, -1 for without
// end.
func (l *loop) timeout() int {
	next := min(l.resumeAt, l.graceEnd)
	if c := l.idle.first; c != nil {
		next = min(next, c.deadline)
	}
	if c := l.linger.first; c != nil {
		next = min(next, c.deadline)
	}
	if next == never {
		return -1
	}
	if next <= l.now {
		return 0
	}
	// Rounded up, not to wake too early for the sake of a fraction.
	return int(min((next-l.now+int64(time.Millisecond)-1)/int64(time.Millisecond), 1<<30))
}

// expire acts on the deadlines that have passed.
func (l *loop) expire() {
	for c := l.idle.first; c != nil && c.deadline <= l.now; c = l.idle.first {
		l.idle.remove(c)
		l.idleTooLong(c)
	}
	for c := l.linger.first; c != nil && c.deadline <= l.now; c = l.linger.first {
		l.close(c)
	}
	if l.resumeAt <= l.now {
		l.resumeAccept()
	}
	if l.graceEnd <= l.now {
		l.graceEnd = never
		l.cancelAll()
	}
}
