package control

import (
	"encoding/json"
	"strings"
	"testing"
)

func decode(t *testing.T, s string) map[string]any {
	t.Helper()
	m := make(map[string]any)
	if err := json.Unmarshal([]byte(s), &m); err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return m
}

func TestMisuse(t *testing.T) {
	for got, want := range map[string]string{
		Start("nonsense", ""):          "JSON list",
		Start("[1]", ""):               "JSON list",
		Start(`["a:app"]`, "nonsense"): "JSON object",
		Stats():                        errNone,
	} {
		if text, _ := decode(t, got)["error"].(string); !strings.Contains(text, want) {
			t.Errorf("got %s, want an error with %q", got, want)
		}
	}
	if got := Stop(); got != errNone {
		t.Errorf("Stop: %q", got)
	}
	if got := Finish(7); got != 7 {
		t.Errorf("Finish: %d", got)
	}
}

func TestOneAtATime(t *testing.T) {
	const host = `{"program": "goasgi", "python": "CPython 3.13.0", "app": "an object"}`
	for range 2 { // one after the other is all right
		first := decode(t, Start(`["--port", "0", "--log-level", "critical"]`, host))
		worker, _ := first["worker"].(map[string]any)
		if worker == nil || worker["app"] != "an object" || len(first["urls"].([]any)) != 1 {
			t.Fatalf("got %v", first)
		}
		if second := decode(t, Start(`["--port", "0"]`, host)); second["error"] != errRunning {
			t.Errorf("got %v", second)
		}
		if stats := decode(t, Stats()); stats["error"] != nil || len(stats) == 0 {
			t.Errorf("got %v", stats)
		}
		if got := Stop(); got != "" {
			t.Errorf("Stop: %q", got)
		}
		if got := Finish(0); got != 0 {
			t.Errorf("Finish: %d", got)
		}
	}
	if got := decode(t, Start(`["--version"]`, host)); got["status"] != 0.0 {
		t.Errorf("got %v", got)
	}
}
