rule Eicar {
  meta:
    says = "it is the test file of virus scanners"
  strings:
    $eicar = "$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
  condition:
    $eicar
}

rule WindowsProgram {
  meta:
    says = "it is a program"
  condition:
    uint16(0) == 0x5A4D and uint32(uint32(0x3C)) == 0x00004550
}
