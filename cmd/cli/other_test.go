package cli

import (
	"os"
	"os/exec"
	"testing"
)

// TestOtherSystems checks that the command compiles for a system that it does
// not run on; there it says so.
func TestOtherSystems(t *testing.T) {
	cmd := exec.Command("go", "build", "-o", os.DevNull, "../goasgi")
	cmd.Env = append(os.Environ(), "GOOS=darwin", "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
