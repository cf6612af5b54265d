package server

import (
	"context"
	"time"
)

const (
	// cancelWait is how long calls that were cancelled may take to end.
	cancelWait = 2 * time.Second
	// lingerTime is how long a connection is read from after our end of it was
	// shut down.
	lingerTime = time.Second
)

// Shutdown stops accepting and lets what goes on come to its end. What is in
// the accept backlog is still served. It returns when there is neither a
// connection nor a call any more, or when the grace is over, the calls that
// still ran were cancelled, and they had 2 s to end. When ctx is done the grace
// is over.
//
// Connections without a request stay readable for DrainIdle, and a request that
// comes is answered, with Connection: close. Then our direction is shut down
// and what comes is dropped: it never reaches the application, so a client may
// safely send it again elsewhere.
//
// An application that streams server-sent events is told at once that it should
// end (http.disconnect). All other calls keep the whole grace.
func (s *Server) Shutdown(ctx context.Context) {
	s.shutdown.Lock()
	defer s.shutdown.Unlock()
	s.stopAccepting()
	s.mu.Lock()
	loops := s.loops
	s.mu.Unlock()
	for _, l := range loops {
		l.post(func() { l.startDrain(s.grace, s.drainIdle) })
	}
	timer := time.NewTimer(s.grace + cancelWait)
	defer timer.Stop()
	stop := ctx.Done()
	for _, l := range loops {
		for waiting := true; waiting; {
			select {
			case <-l.drained:
				waiting = false
			case <-l.done:
				waiting = false
			case <-timer.C:
				return
			case <-stop:
				stop = nil
				for _, l := range loops {
					l.post(l.cutGrace)
				}
				timer.Reset(cancelWait)
			}
		}
	}
}

// startDrain begins the drain of a loop.
func (l *loop) startDrain(grace, idle time.Duration) {
	if l.draining {
		return
	}
	l.draining = true
	l.graceEnd = l.now + int64(grace)
	l.idle.shorten(int64(idle), l.now)
	for _, k := range l.calls {
		if k.open && k.stream && k.conn != nil {
			l.tell(k, todoLeft)
		}
	}
}

// cutGrace ends the grace.
func (l *loop) cutGrace() {
	if l.graceEnd != never {
		l.graceEnd = l.now
	}
	l.idle.shorten(0, l.now)
}

// cancelAll cancels the calls that still live when the grace is over.
func (l *loop) cancelAll() {
	for _, k := range l.calls {
		if k.open {
			l.tell(k, todoCancel)
		}
	}
	l.idle.shorten(0, l.now)
}

// checkDrained tells Shutdown when nothing is left.
func (l *loop) checkDrained() {
	if l.connections > 0 || l.open > 0 {
		return
	}
	select {
	case <-l.drained:
	default:
		close(l.drained)
	}
}
