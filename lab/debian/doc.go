// Package debian gets kernels from Debian's packages and keeps them in a cache: the
// image, its configuration, and the modules that a lab machine may need, in the order
// in which they load.
//
// It asks apt, with a configuration of its own: the machine's package sources, lists and
// installed packages stay as they are. Several processes may use one cache.
package debian
