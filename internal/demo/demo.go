// Package demo carries two trained networks and a few hundred labelled images, so that the program can show all of
// itself without any file. testdata/SOURCES.md says where they come from.
package demo

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Images is the number of embedded test images.
const Images = 500

// Mean and Std are the normalisation that both networks were trained with.
const (
	Mean = "0.2860"
	Std  = "0.3530"
)

// ImagesDir and ClassesFile are where Extract puts the images and the class names, relative to its directory.
const (
	ImagesDir   = "fashion-mnist"
	ClassesFile = "classes.txt"
)

//go:embed assets
var assets embed.FS

// classes are Fashion-MNIST's, in label order.
var classes = []string{"T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"}

// Extract writes resnet.safetensors, vit.safetensors, the images and the class names below dir, leaving alone files
// that are there with the same content.
func Extract(dir string) error {
	entries, err := fs.ReadDir(assets, "assets")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	for _, e := range entries {
		b, err := fs.ReadFile(assets, "assets/"+e.Name())
		if err != nil {
			return fmt.Errorf("demo: %w", err)
		}
		to := filepath.Join(dir, e.Name())
		if strings.HasSuffix(e.Name(), ".gz") {
			to = filepath.Join(dir, ImagesDir, e.Name())
		}
		if err := write(to, b); err != nil {
			return err
		}
	}
	return write(filepath.Join(dir, ClassesFile), []byte(strings.Join(classes, "\n")+"\n"))
}

func write(file string, b []byte) error {
	if old, err := os.ReadFile(file); err == nil && string(old) == string(b) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if err := os.WriteFile(file, b, 0o666); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return nil
}
