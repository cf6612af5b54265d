package cli

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"
)

// TestTakenSignal checks what takeBack relies on: a signal that C code took with
// sigaction(2) comes to Go again once the action is put back.
func TestTakenSignal(t *testing.T) {
	const sig = syscall.SIGUSR2
	c := make(chan os.Signal, 1)
	signal.Notify(c, sig)
	defer signal.Stop(c)
	ours, err := getAction(sig)
	if err != nil {
		t.Fatal(err)
	}
	if ours.handler < 2 {
		t.Fatalf("after Notify the handler is %#x", ours.handler)
	}
	if err := setAction(sig, &sigaction{handler: 1}); err != nil { // SIG_IGN: as taken as by a handler
		t.Fatal(err)
	}
	if a, err := getAction(sig); err != nil || !a.ignores() {
		t.Fatalf("got %+v, %v", a, err)
	}
	if err := setAction(sig, &ours); err != nil {
		t.Fatal(err)
	}
	if a, err := getAction(sig); err != nil || a != ours {
		t.Fatalf("got %+v, want %+v, %v", a, ours, err)
	}
	if err := syscall.Kill(os.Getpid(), sig); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		t.Error("the signal did not come")
	}
}
