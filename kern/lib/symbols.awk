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

# GNU's nm leaves a size of 0 out, LLVM's prints it.
{
  start = low($1)
  size = NF == 4 ? low($2) : 0
  kind = $(NF - 1)
  name = $NF
}
name == "_start" { base = start }
name == "text_end" { limit = start }
tolower(kind) == "t" && name !~ /^[.$]/ && (size || start >= end) { add(start, size, name) }

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
