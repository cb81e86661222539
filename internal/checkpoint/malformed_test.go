package checkpoint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coar/internal/fault"
)

// checkMalformed fails unless err is one line of kind Malformed that names the file and contains what.
func checkMalformed(t testing.TB, err error, file, what string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s was accepted", file)
		return
	}
	text := err.Error()
	if fault.KindOf(err) != fault.Malformed || !strings.Contains(text, file+": ") || !strings.Contains(text, what) ||
		strings.Contains(text, "\n") || len(text) > 1000 {
		t.Errorf("%s: kind %v, error %q; want one line that names the file and says %q", file, fault.KindOf(err), text, what)
	}
}

// write makes a file for the test.
func write(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
