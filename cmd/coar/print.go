package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
)

// printJSON writes v as one indented object.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// table prints rows of cells under a header, columns aligned.
func table(w io.Writer, header string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 2, 4, 2, ' ', 0)
	fmt.Fprintln(t, strings.ReplaceAll(header, " | ", "\t"))
	for _, r := range rows {
		fmt.Fprintln(t, strings.Join(r, "\t"))
	}
	return t.Flush()
}

// percent shows part of whole as both.
func percent(part, whole int) string {
	if whole == 0 {
		return "0 of 0"
	}
	return fmt.Sprintf("%d of %d (%.2f %%)", part, whole, 100*float64(part)/float64(whole))
}

// bytesOf reads a size such as 4GB, 512MB or 1.5GiB.
func bytesOf(s string) (int64, error) {
	var v float64
	var unit string
	if _, err := fmt.Sscanf(strings.TrimSpace(s), "%f%s", &v, &unit); err != nil && unit == "" {
		if _, err := fmt.Sscanf(s, "%f", &v); err != nil {
			return 0, fmt.Errorf("want a size such as 4GB, not %q", s)
		}
	}
	scale := map[string]float64{"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
	f, ok := scale[strings.ToUpper(unit)]
	if !ok || !(v > 0) || v*f > 1<<62 {
		return 0, fmt.Errorf("want a size such as 4GB, not %q", s)
	}
	return int64(v * f), nil
}

// roughly words a positive number with two significant digits.
func roughly(x float64) string {
	exponent := math.Floor(math.Log10(x)) - 1
	unit := math.Pow(10, exponent)
	return strconv.FormatFloat(math.Round(x/unit)*unit, 'f', int(max(0, -exponent)), 64)
}
