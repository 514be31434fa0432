package code

const sysProcessVMWritev = 271
