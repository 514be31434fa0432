package pmem

// orderReads keeps the reads before it before those behind it. On amd64 all are (Intel SDM,
// volume 3, 9.2.2).
func orderReads() {}
