package kernel

import "coar/internal/kernel/abi"

// WinogradProducts is the number of products per tile of F(4x4, 3x3), WinogradTile the side of its output.
const (
	WinogradProducts = 36
	WinogradTile     = 4
)

// WinogradFilter transforms a 3x3 filter g, row by row, into the 36 factors u = G g Gᵀ of its products.
//
// Source: Lavin, Gray, "Fast algorithms for convolutional neural networks" (CVPR 2016), with the points of package abi.
func WinogradFilter(g []float32, u *[WinogradProducts]float32) {
	var half [6][3]float64 // G g
	for j := range 3 {
		for i, v := range filter1D([3]float64{float64(g[j]), float64(g[3+j]), float64(g[6+j])}) {
			half[i][j] = v
		}
	}
	for i := range half {
		for j, v := range filter1D(half[i]) {
			u[6*i+j] = float32(v)
		}
	}
}

// filter1D is G g.
func filter1D(g [3]float64) [6]float64 {
	const a, b = abi.PointA, abi.PointB
	const na, nb = 1 / (2 * a * a * (a*a - b*b)), 1 / (2 * b * b * (b*b - a*a))
	return [6]float64{
		g[0],
		na * (g[0] + a*g[1] + a*a*g[2]), na * (g[0] - a*g[1] + a*a*g[2]),
		nb * (g[0] + b*g[1] + b*b*g[2]), nb * (g[0] - b*g[1] + b*b*g[2]),
		g[2],
	}
}

// winogradInputPortable is the input transform of package abi, lane by lane.
func winogradInputPortable(w *Winograd) {
	var d [6][6]float32
	for at := range w.N * portableLanes {
		n, lane := at/portableLanes, at%portableLanes
		for j := range 6 {
			var col [6]float32
			for i := range col {
				col[i] = w.X[i*w.XRow+int(w.XCol[j])+n*w.XStep+lane]
				if w.Scaled != 0 {
					col[i] *= w.Scale
				}
			}
			for i, v := range input1D(col) {
				d[i][j] = v
			}
		}
		for i := range d {
			for j, v := range input1D(d[i]) {
				w.Y[(6*i+j)*w.Plane+n*w.YStep+lane] = v
			}
		}
	}
}

// input1D is Bᵀd.
func input1D(d [6]float32) [6]float32 {
	const a, b, sum = float32(abi.PointA), float32(abi.PointB), abi.PointA*abi.PointA + abi.PointB*abi.PointB
	const a2, b2 = float32(abi.PointA * abi.PointA), float32(abi.PointB * abi.PointB)
	t, s := d[4]-b2*d[2], d[3]-b2*d[1]
	u, v := d[4]-a2*d[2], d[3]-a2*d[1]
	return [6]float32{d[0] + d[4] - sum*d[2], t + a*s, t - a*s, u + b*v, u - b*v, d[1] + d[5] - sum*d[3]}
}

// winogradOutputPortable is the output transform of package abi, lane by lane.
func winogradOutputPortable(w *Winograd) {
	var m [4][6]float32
	for at := range w.N * portableLanes {
		n, lane := at/portableLanes, at%portableLanes
		for j := range 6 {
			var col [6]float32
			for i := range col {
				col[i] = w.X[(6*i+j)*w.Plane+n*w.XStep+lane]
			}
			for i, v := range output1D(col) {
				m[i][j] = v
			}
		}
		for i := range w.Rows {
			y := output1D(m[i])
			for j := range w.Cols {
				v := y[j]*w.Scale + w.Shift
				if len(w.Res) > 0 {
					v += w.Res[i*w.ResRow+int(w.ResCol[j])+n*w.ResStep+lane]
				}
				if w.ReLU != 0 && v < 0 {
					v = 0
				}
				w.Y[i*w.YRow+int(w.YCol[j])+n*w.YStep+lane] = v
			}
		}
	}
}

// output1D is Aᵀm.
func output1D(m [6]float32) [4]float32 {
	const a, b = float32(abi.PointA), float32(abi.PointB)
	const a2, b2, a3, b3 = float32(abi.PointA * abi.PointA), float32(abi.PointB * abi.PointB), float32(abi.PointA * abi.PointA * abi.PointA), float32(abi.PointB * abi.PointB * abi.PointB)
	p, q, r, s := m[1]+m[2], m[1]-m[2], m[3]+m[4], m[3]-m[4]
	return [4]float32{m[0] + p + r, a*q + b*s, a2*p + b2*r, m[5] + a3*q + b3*s}
}
