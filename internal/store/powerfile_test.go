package store

import (
	"bytes"
	"io/fs"
)

// powerHandle is an open file.
type powerHandle struct {
	p     *powerFS
	f     *powerFile
	write bool
}

func (h *powerHandle) ReadAt(b []byte, at int64) (int, error) {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	return bytes.NewReader(h.f.data).ReadAt(b, at)
}

func (h *powerHandle) WriteAt(b []byte, at int64) (int, error) {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	if !h.write {
		return 0, fs.ErrPermission
	}
	c := change{at, append([]byte{}, b...)}
	err := h.p.step()
	if err != nil {
		c = c.cut()
	}
	h.f.data = c.apply(h.f.data)
	h.f.pending = append(h.f.pending, c)
	return len(c.data), err
}

func (h *powerHandle) Truncate(size int64) error {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	if err := h.p.step(); err != nil {
		return err
	}
	c := change{at: size}
	h.f.data = c.apply(h.f.data)
	h.f.pending = append(h.f.pending, c)
	return nil
}

func (h *powerHandle) Sync() error {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	if err := h.p.step(); err != nil {
		return err
	}
	h.f.durable, h.f.pending = bytes.Clone(h.f.data), nil
	return nil
}

func (h *powerHandle) size() (int64, error) {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	return int64(len(h.f.data)), nil
}

func (h *powerHandle) Close() error { return nil }
