// Package prometheus runs a script of Prometheus's own test language against its own engine.
package prometheus

import (
	"io"
	"os"
	"testing"

	"github.com/prometheus/prometheus/promql/promqltest"
)

// TestScript runs what is on standard input: series to load, queries, and what they must give.
func TestScript(t *testing.T) {
	script, err := io.ReadAll(os.Stdin)
	if err != nil || len(script) == 0 {
		t.Fatal("no script on standard input", err)
	}
	promqltest.RunTest(t, string(script), promqltest.NewTestEngine(t, false, 0, 10_000_000))
}
