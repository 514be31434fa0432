//go:build !race

package region_test

const raced = false
