package main

import "testing"

// The codes are those of GNU as 2.40 (aarch64-linux-gnu-as) for the texts. Between them, the registers set every bit of their fields.
func TestWordsAreEncodedAsAnAssemblerDoes(t *testing.T) {
	for _, c := range []struct {
		got  word
		code uint32
		text string
	}{
		{fadd(17, 2, 31), 0x4e31d45f, "fadd v31.4s, v2.4s, v17.4s"},
		{fsub(5, 30, 0), 0x4ea5d7c0, "fsub v0.4s, v30.4s, v5.4s"},
		{fmul(31, 16, 9), 0x6e3fde09, "fmul v9.4s, v16.4s, v31.4s"},
		{fdiv(28, 1, 18), 0x6e3cfc32, "fdiv v18.4s, v1.4s, v28.4s"},
		{fmax(0, 31, 4), 0x4e20f7e4, "fmax v4.4s, v31.4s, v0.4s"},
		{fmin(6, 10, 21), 0x4ea6f555, "fmin v21.4s, v10.4s, v6.4s"},
		{fabs(12, 31), 0x4ea0f99f, "fabs v31.4s, v12.4s"},
		{fsqrt(29, 3), 0x6ea1fba3, "fsqrt v3.4s, v29.4s"},
		{frintn(7, 16), 0x4e2188f0, "frintn v16.4s, v7.4s"},
		{fcvtzs(24, 8), 0x4ea1bb08, "fcvtzs v8.4s, v24.4s"},
		{fmlaLane(20, 0, 11, 31), 0x4f94117f, "fmla v31.4s, v11.4s, v20.s[0]"},
		{fmlaLane(3, 3, 25, 6), 0x4fa31b26, "fmla v6.4s, v25.4s, v3.s[3]"},
		{fmlsLane(30, 1, 9, 17), 0x4fbe5131, "fmls v17.4s, v9.4s, v30.s[1]"},
		{fmlsLane(1, 2, 22, 14), 0x4f815ace, "fmls v14.4s, v22.4s, v1.s[2]"},
		{fmulLane(28, 2, 5, 31), 0x4f9c98bf, "fmul v31.4s, v5.4s, v28.s[2]"},
		{fmulLane(19, 1, 26, 0), 0x4fb39340, "fmul v0.4s, v26.4s, v19.s[1]"},
		{ldrIndexed(7, 22, 31), 0x3cf668ff, "ldr q31, [x7, x22]"},
		{ldrIndexed(21, 6, 5), 0x3ce66aa5, "ldr q5, [x21, x6]"},
	} {
		if want := (word{c.code, c.text}); c.got != want {
			t.Errorf("got %#x %q, want %#x %q", c.got.code, c.got.text, want.code, want.text)
		}
	}
}
