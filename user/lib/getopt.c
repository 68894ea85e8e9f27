// SPDX-License-Identifier: MIT
//
// Options: letters after '-', several in one word, a ':' behind those that take a value.

#include "user/user.h"

char *optarg;
int optind = 1;

static const char *rest;  // letters left in the word being read

static int complain(const char *program, const char *what, char letter) {
  fprintf(2, "%s: %s -%c\n", program, what, letter);
  return '?';
}

// Begin the next word.  Returns whether it holds options.
static bool next_word(int argc, char *const argv[]) {
  if (optind >= argc || argv[optind][0] != '-' || argv[optind][1] == 0)
    return false;
  rest = argv[optind++] + 1;
  return strcmp(rest, "-") != 0;
}

int getopt(int argc, char *const argv[], const char *options) {
  optarg = NULL;
  if ((!rest || *rest == 0) && !next_word(argc, argv)) {
    rest = NULL;
    return -1;
  }
  char letter = *rest++;
  const char *option = letter == ':' ? NULL : strchr(options, letter);
  if (!option)
    return complain(argv[0], "unknown option", letter);
  if (option[1] != ':')
    return letter;
  if (*rest == 0 && optind >= argc)
    return complain(argv[0], "a value must follow", letter);
  optarg = *rest ? (char *)rest : argv[optind++];
  rest = NULL;
  return letter;
}
