package main

import (
	"strings"
	"testing"

	"coar/internal/store"
)

// Every id has a default name that an edit can have, and no two have the same: fix-ID, or what ends in a hash.
func TestDefaultNamesOfEdits(t *testing.T) {
	a := func(n int) string { return strings.Repeat("a", n) }
	ids := map[string]string{}
	for _, c := range []struct {
		id, want string
		hashed   bool
	}{
		{"17", "fix-17", false},
		{"img_3.v2-a.png", "fix-img_3.v2-a.png", false},
		{"c3-7.png", "fix-c3-7.png", false},
		{"c3/7.png", "fix-c3-7.png-", true},
		{"c3 7.png", "fix-c3-7.png-", true},
		{"c3/日本.png", "fix-c3-.png-", true},
		{"c3/中国.png", "fix-c3-.png-", true},
		{a(96), "fix-" + a(96), false},
		{a(97), "fix-" + a(87) + "-", true},
		{a(110), "fix-" + a(87) + "-", true},
		{strings.Repeat("ä", 200), "fix---", true},
	} {
		o := editOptions{fix: c.id, k: "auto"}
		if err := o.check(); err != nil {
			t.Fatalf("%s: %v", c.id, err)
		}
		if _, err := store.EditPath(o.name); err != nil {
			t.Errorf("%s: %v", c.id, err)
		}
		rest, ok := strings.CutPrefix(o.name, c.want)
		if !ok || c.hashed != (len(rest) == 8) || !c.hashed && rest != "" {
			t.Errorf("%s: the name is %s, want %s", c.id, o.name, c.want)
		}
		if other, ok := ids[o.name]; ok {
			t.Errorf("%s and %s have the same name, %s", c.id, other, o.name)
		}
		ids[o.name] = c.id
	}
}
