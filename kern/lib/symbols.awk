# SPDX-License-Identifier: MIT
#
# From `nm -nS`, sorted by address, to the assembly of the kernel's symbol table (symbols.c reads
# it).  A label without a size that lies inside a sized function (a state of entry.S) is no
# function; elsewhere it reaches up to the next one.  Only the low 32 bits of addresses are
# compared: awk's numbers hold those exactly.

function low(hex,  i, n) {
  n = 0
  for (i = length(hex) - 7; i <= length(hex); i++)
    n = n * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1
  return n
}

function add(start, size, name) {
  if (count && at[count] == start) {
    if (len[count] || !size)
      return
    count--
  }
  at[++count] = start
  len[count] = size
  names[count] = name
  end = start + size
}

NF == 4 && tolower($3) == "t" { add(low($1), low($2), $4) }
NF == 3 && tolower($2) == "t" && $3 !~ /^[.$]/ && low($1) >= end { add(low($1), 0, $3) }
NF == 3 && $3 == "_start" { base = low($1) }
NF == 4 && $4 == "_start" { base = low($1) }
NF == 3 && $3 == "text_end" { limit = low($1) }

END {
  print ".section .symbols, \"a\""
  print ".balign 8\n.globl symbol_count, symbol_table, symbol_names"
  while (count && at[count] >= limit)
    count--
  print "symbol_count: .8byte " count
  print "symbol_table:"
  at[count + 1] = limit
  for (i = 1; i <= count; i++) {
    size = len[i] ? len[i] : at[i + 1] - at[i]
    printf ".4byte %.0f, %.0f, %.0f\n", at[i] - base, size, offset
    offset += length(names[i]) + 1
  }
  print "symbol_names:"
  for (i = 1; i <= count; i++)
    print ".asciz \"" names[i] "\""
}
