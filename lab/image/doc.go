// Package image makes the files that a lab machine is given: the archive that the
// kernel unpacks as its first root, emulated NVDIMMs and disks.
package image
