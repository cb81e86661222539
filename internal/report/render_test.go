package report

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// photograph is a made-up image with a gradient and a disc.
func photograph(side int) image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			c := color.NRGBA{uint8(80 + 150*x/side), uint8(140 + 80*y/side), 200, 255}
			if math.Hypot(float64(x-side/2), float64(y-side/2)) < float64(side)/4 {
				c = color.NRGBA{180, 90, 40, 255}
			}
			img.SetNRGBA(x, y, c)
		}
	}
	return img
}

func scatterOf(n, rows int) Scatter {
	random := rand.New(rand.NewPCG(1, 2))
	s := Scatter{Title: "Predicted and measured margins", Subtitle: "500 fresh rows, 10 % of components ablated · dashed: predicted = measured"}
	ids := []string{"17", "n02123045/ILSVRC2012_val_00004677_a_rather_long_file_name.JPEG", "4021", "automobile/image_000123.png"}
	for i := range n {
		panel := ScatterPanel{ID: ids[i%len(ids)], Class: []string{"cat", "Egyptian cat, domestic shorthair of some sort", "automobile"}[i%3],
			Correlation: 0.2 + 0.1*float64(i%7), Image: photograph(32 + 200*(i%2))}
		for range rows {
			v := random.NormFloat64() * 2
			panel.Predicted = append(panel.Predicted, v+4)
			panel.Measured = append(panel.Measured, 4+v+random.NormFloat64()*1.2)
		}
		s.Panels = append(s.Panels, panel)
	}
	return s
}

func barsOf(methods ...string) CorrelationBars {
	c := CorrelationBars{Title: "How well attributions predict ablations", Subtitle: "mean correlation over 1,000 examples, 500 rows; whiskers: 95 % interval"}
	for i, fraction := range []float64{0.15, 0.125, 0.1} {
		g := BarGroup{Fraction: fraction, Trained: fraction == 0.1}
		for j, method := range methods {
			mean := 0.68 + 0.035*float64(i) - 0.16*float64(j)
			g.Bars = append(g.Bars, Bar{Method: method, Mean: mean, Low: mean - 0.02, High: mean + 0.021})
		}
		c.Groups = append(c.Groups, g)
	}
	return c
}

func curveOf(nTargets, largest, chosen int) EditCurve {
	random := rand.New(rand.NewPCG(3, 4))
	c := EditCurve{Title: "Fixing example 4021", Subtitle: "ship, taken for airplane · right again with 5 of 1,136 components ablated", Chosen: chosen, Floor: 0.805}
	offsets := make([]float64, nTargets)
	for i := range offsets {
		offsets[i] = random.NormFloat64() * 0.5 * float64(min(1, nTargets-1))
	}
	for k := 0; k <= largest; k = max(k+1, int(float64(k)*1.25*float64(min(1, k/64)))) {
		point := EditPoint{K: k, Accuracy: 0.81 - 0.0006*float64(k) + 0.001*random.NormFloat64()}
		for _, offset := range offsets {
			point.Margins = append(point.Margins, offset-2.1+0.9*math.Log1p(float64(k))*1.3+0.2*random.NormFloat64())
		}
		c.Points = append(c.Points, point)
	}
	return c
}

// figures are all kinds of figure, with ordinary and with degenerate data.
func figures() map[string]Figure {
	nan, inf := math.NaN(), math.Inf(1)
	figures := map[string]Figure{
		"scatter":             scatterOf(6, 500).Figure(),
		"scatter one panel":   scatterOf(1, 300).Figure(),
		"scatter many panels": scatterOf(MaxPanels+3, 20).Figure(),
		"scatter empty":       Scatter{}.Figure(),
		"bars one method":     barsOf("COAR").Figure(),
		"bars five methods":   barsOf("COAR", "leave-one-out", "gradient × parameter", "neuron conductance", "internal influence").Figure(),
		"bars empty":          CorrelationBars{}.Figure(),
		"curve one target":    curveOf(1, 12, 5).Figure(),
		"curve many targets":  curveOf(40, 900, 210).Figure(),
		"curve without k":     curveOf(1, 64, -1).Figure(),
		"curve empty":         EditCurve{Chosen: -1, Floor: nan}.Figure(),
		"curve not finite": EditCurve{Chosen: 3, Floor: nan, Points: []EditPoint{
			{0, []float64{nan, inf}, nan}, {3, []float64{-inf}, 2}, {9, nil, -1}}}.Figure(),
		"curve at extremes": EditCurve{Chosen: 1, Floor: 1, Points: []EditPoint{{0, []float64{-math.MaxFloat64}, 1}, {1, []float64{1e300}, 1}}}.Figure(),
		"bars not finite":   CorrelationBars{Groups: []BarGroup{{nan, true, []Bar{{"a", nan, nan, nan}, {"b", -0.4, nan, 0}, {"c", -0.2, -0.3, -0.1}}}, {}}}.Figure(),
	}
	degenerate := Scatter{Title: "\x00\xff<&>\"", Subtitle: string(make([]byte, 5000))}
	for _, values := range [][]float64{nil, {1}, {1, 1, 1}, {0, 0}, {nan, inf}, {1e-300, 2e-300}, {1e300, -1e300}, {1e15, 1e15 + 1}} {
		degenerate.Panels = append(degenerate.Panels, ScatterPanel{ID: "\x1b[31m", Correlation: nan, Predicted: values, Measured: values, Image: image.NewNRGBA(image.Rect(0, 0, 0, 9))})
	}
	figures["scatter degenerate"] = degenerate.Figure()
	return figures
}

// Set COAR_FIGURES to a directory to keep the figures and look at them.
func TestFiguresAreDeterministicAndOfTheirSize(t *testing.T) {
	again := figures()
	for name, figure := range figures() {
		t.Run(name, func(t *testing.T) {
			var picture bytes.Buffer
			if err := figure.WritePNG(&picture); err != nil {
				t.Fatal(err)
			}
			if directory := os.Getenv("COAR_FIGURES"); directory != "" {
				if err := os.WriteFile(filepath.Join(directory, name+".png"), picture.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			config, err := png.DecodeConfig(bytes.NewReader(picture.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			if w, h := pixels(2*figure.Width), pixels(2*figure.Height); config.Width != w || config.Height != h {
				t.Errorf("PNG of %d x %d pixels, want %d x %d", config.Width, config.Height, w, h)
			}
			var picture2 bytes.Buffer
			if err := again[name].WritePNG(&picture2); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(picture.Bytes(), picture2.Bytes()) {
				t.Error("the same data gave different bytes")
			}
		})
	}
}
