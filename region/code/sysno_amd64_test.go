package code

const sysProcessVMWritev = 311
