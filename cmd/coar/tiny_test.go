package main

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"

	"coar/internal/ablate"
	"coar/internal/checkpoint"
	"coar/internal/npy"
)

// The tiny network that most scripts work on: a mini ResNet of 4 planes and 2 blocks, which is 20 components in five
// groups, with 4 classes. A forward pass of it takes well under a millisecond with any kernels.
const (
	tinyPlanes     = 4
	tinyBlocks     = 2
	tinyClasses    = 4
	tinyComponents = (1 + 2*tinyBlocks) * tinyPlanes
	tinyImages     = 24
)

// tinyLabels are what the network says of its images, but for images 6 and 7, whose labels are its second choice.
var tinyLabels = [tinyImages]int32{1, 2, 1, 2, 1, 1, 2, 3, 1, 1, 1, 1, 2, 1, 1, 1, 2, 1, 2, 2, 2, 1, 1, 1}

// writeTiny writes the network, its images and files of rows into dir:
//
//	tiny.safetensors             the checkpoint; other.safetensors has the same shapes and other weights
//	images.npy, labels.npy       uint8 [24, 3, 32, 32] and int32 [24]; swapped.npy has the labels of two images swapped
//	rows.npy, others.npy         bool [6, 20], rows for --masks-file
//	narrow.npy                   bool [6, 19], which no model here takes
//	soft.npy                     float32 [5, 20], gradient rows: values in (0,1), and of each row some 0 and some 1
//	hard.npy                     float32 [5, 20], zeros and ones
//	beyond.npy                   float32 [1, 20], one value of which is 1.5
//	beyond-half.npy              bool [1, 20], 11 values of which are false
//	test_batch.bin               the images and labels as CIFAR-10 has them
//	pictures/                    images 0 to 11 as cat/NN.png (label 1), dog/NN.png (2) and eel/NN.png (3), and an empty ant/ (0)
//	met.npy                      bool [6, 20], of which row 2 is the first row that coar evaluate draws at fraction 0.3
func writeTiny(dir string) error {
	swapped := tinyLabels
	swapped[0], swapped[1] = (swapped[0]+1)%tinyClasses, (swapped[1]+1)%tinyClasses
	met := drawRows(7, tinyComponents)
	ablate.Sampler{Seed: 1, Purpose: ablate.Evaluate, Fraction: 0.3}.Row(0, met[2*tinyComponents:3*tinyComponents])
	return errors.Join(
		writeTinyWeights(filepath.Join(dir, "tiny.safetensors"), 1),
		writeTinyWeights(filepath.Join(dir, "other.safetensors"), 2),
		writeTinyImages(filepath.Join(dir, "images.npy")),
		writeTinyBatch(filepath.Join(dir, "test_batch.bin")),
		writeTinyPictures(filepath.Join(dir, "pictures")),
		writeInt32(filepath.Join(dir, "labels.npy"), tinyLabels[:]),
		writeInt32(filepath.Join(dir, "swapped.npy"), swapped[:]),
		writeBool(filepath.Join(dir, "rows.npy"), drawRows(5, tinyComponents), tinyComponents),
		writeBool(filepath.Join(dir, "others.npy"), drawRows(6, tinyComponents), tinyComponents),
		writeBool(filepath.Join(dir, "narrow.npy"), drawRows(5, tinyComponents-1), tinyComponents-1),
		writeBool(filepath.Join(dir, "met.npy"), met, tinyComponents),
		writeBool(filepath.Join(dir, "beyond-half.npy"), append(make([]byte, 11), bytes.Repeat([]byte{1}, 9)...), tinyComponents),
		writeFloat32(filepath.Join(dir, "soft.npy"), softRows(), tinyComponents),
		writeFloat32(filepath.Join(dir, "hard.npy"), hardRows(), tinyComponents),
		writeFloat32(filepath.Join(dir, "beyond.npy"), []float32{19: 1.5}, tinyComponents),
	)
}

// writeTinyWeights draws the checkpoint of a seed.
func writeTinyWeights(path string, seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 0))
	var tensors []checkpoint.Tensor
	add := func(key string, shape []int, value func() float64) {
		n := 1
		for _, d := range shape {
			n *= d
		}
		data := make([]float32, n)
		for i := range data {
			data[i] = float32(value())
		}
		tensors = append(tensors, checkpoint.Tensor{Key: key, Shape: shape, Data: data})
	}
	convNorm := func(conv, norm string, in int) {
		add(conv+".weight", []int{tinyPlanes, in, 3, 3}, func() float64 { return rng.NormFloat64() / math.Sqrt(float64(9*in)) })
		add(norm+".weight", []int{tinyPlanes}, func() float64 { return 0.5 + rng.Float64() })
		add(norm+".bias", []int{tinyPlanes}, func() float64 { return 0.2 * rng.NormFloat64() })
		add(norm+".running_mean", []int{tinyPlanes}, func() float64 { return 0.1 * rng.NormFloat64() })
		add(norm+".running_var", []int{tinyPlanes}, func() float64 { return 0.5 + rng.Float64() })
	}
	convNorm("conv1", "bn1", 3)
	for b := range tinyBlocks {
		for c := 1; c <= 2; c++ {
			convNorm(fmt.Sprintf("layer.%d.conv%d", b, c), fmt.Sprintf("layer.%d.bn%d", b, c), tinyPlanes)
		}
	}
	add("linear.weight", []int{tinyClasses, 16 * tinyPlanes}, func() float64 { return 0.3 * rng.NormFloat64() })
	add("linear.bias", []int{tinyClasses}, func() float64 { return 0.1 * rng.NormFloat64() })
	var file bytes.Buffer
	if err := checkpoint.WriteSafetensors(&file, tensors); err != nil {
		return err
	}
	return os.WriteFile(path, file.Bytes(), 0o666)
}

// tinySide is the images' height and width.
const tinySide = 32

// writeTinyImages writes the images as an array.
func writeTinyImages(path string) error {
	return writeArray(path, npy.Uint8, tinyPixels(), tinyImages, 3, tinySide, tinySide)
}

// writeTinyBatch writes the images as CIFAR-10's binary version has them.
func writeTinyBatch(path string) error {
	const size = 3 * tinySide * tinySide
	var records []byte
	for i, pixels := 0, tinyPixels(); i < tinyImages; i++ {
		records = append(append(records, byte(tinyLabels[i])), pixels[i*size:(i+1)*size]...)
	}
	return os.WriteFile(path, records, 0o666)
}

// writeTinyPictures writes the first images as pictures in class folders.
func writeTinyPictures(folder string) error {
	const plane = tinySide * tinySide
	classes := [tinyClasses]string{"ant", "cat", "dog", "eel"}
	pixels := tinyPixels()
	for _, class := range classes {
		if err := os.MkdirAll(filepath.Join(folder, class), 0o777); err != nil {
			return err
		}
	}
	for i := range 12 {
		picture := image.NewNRGBA(image.Rect(0, 0, tinySide, tinySide))
		for at := range plane {
			for c := range 3 {
				picture.Pix[4*at+c] = pixels[(3*i+c)*plane+at]
			}
			picture.Pix[4*at+3] = 255
		}
		var file bytes.Buffer
		if err := png.Encode(&file, picture); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, classes[tinyLabels[i]], fmt.Sprintf("%02d.png", i)), file.Bytes(), 0o666); err != nil {
			return err
		}
	}
	return nil
}

// tinyPixels draws gratings: of each image and channel its own direction, wavelength and brightness.
func tinyPixels() []byte {
	const side = tinySide
	rng := rand.New(rand.NewPCG(3, 0))
	pixels := make([]byte, 0, tinyImages*3*side*side)
	for range tinyImages * 3 {
		fx, fy, level, phase := rng.Float64(), rng.Float64(), 60+135*rng.Float64(), 6*rng.Float64()
		for y := range side {
			for x := range side {
				pixels = append(pixels, byte(level+50*math.Sin(fx*float64(x)+fy*float64(y)+phase)))
			}
		}
	}
	return pixels
}

// drawRows draws six rows, ablating about every fifth component.
func drawRows(seed uint64, width int) []byte {
	rng := rand.New(rand.NewPCG(seed, 0))
	keep := make([]byte, 6*width)
	for i := range keep {
		if rng.Float64() >= 0.2 {
			keep[i] = 1
		}
	}
	return keep
}

func writeBool(path string, keep []byte, width int) error {
	return writeArray(path, npy.Bool, keep, len(keep)/width, width)
}

// softRows are five rows of fifths, each component at another one in every row.
func softRows() []float32 {
	rows := make([]float32, 5*tinyComponents)
	for i := range rows {
		rows[i] = float32((i+i/tinyComponents)%6) / 5
	}
	return rows
}

// hardRows are those rounded.
func hardRows() []float32 {
	rows := softRows()
	for i, k := range rows {
		rows[i] = float32(math.Round(float64(k)))
	}
	return rows
}

func writeFloat32(path string, values []float32, width int) error {
	w, err := npy.Create(path, npy.Float32, len(values)/width, width)
	if err != nil {
		return err
	}
	return errors.Join(w.WriteRowsFloat32(0, values), w.Close())
}

func writeInt32(path string, values []int32) error {
	w, err := npy.Create(path, npy.Int32, len(values))
	if err != nil {
		return err
	}
	return errors.Join(w.WriteRowsInt32(0, values), w.Close())
}

func writeArray(path string, dtype npy.DType, raw []byte, shape ...int) error {
	w, err := npy.Create(path, dtype, shape...)
	if err != nil {
		return err
	}
	return errors.Join(w.WriteRows(0, raw), w.Close())
}
