package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows how far a long step is: a bar with rate and time left on a terminal, a log line every 30 s otherwise.
// Its methods may be called concurrently; a nil progress shows nothing.
type progress struct {
	mu    sync.Mutex
	bar   *progressbar.ProgressBar
	what  string
	done  int
	from  int // done at the start, for the rate
	total int
	start time.Time
	last  time.Time
}

const logEvery = 30 * time.Second

// newProgress starts at done of total units called what.
func (g *globals) newProgress(w io.Writer, what string, done, total int) *progress {
	if g.quiet || total == 0 {
		return nil
	}
	p := &progress{what: what, done: done, from: done, total: total, start: time.Now(), last: time.Now()}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what), progressbar.OptionShowCount(),
			progressbar.OptionShowIts(), progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
		_ = p.bar.Set(done) // a bar that cannot be drawn must not stop the work
	}
	return p
}

// add counts n units as done.
func (p *progress) add(n int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	if p.bar != nil {
		_ = p.bar.Add(n)
		return
	}
	if now := time.Now(); now.Sub(p.last) >= logEvery && p.done < p.total {
		p.last = now
		rate := float64(p.done-p.from) / now.Sub(p.start).Seconds()
		left := time.Duration(float64(p.total-p.done) / rate * float64(time.Second)).Round(time.Second)
		slog.Info(p.what, "done", p.done, "of", p.total, "per_second", fmt.Sprintf("%.1f", rate), "left", left.String())
	}
}

// finish removes the bar.
func (p *progress) finish() {
	if p != nil && p.bar != nil {
		_ = p.bar.Finish()
	}
}
