// SPDX-License-Identifier: MIT
//
// The user library on the host.  Its functions bear the names of the host's own, so they are
// renamed; system calls are played by this file.

#include <stdint.h>
#include <stdio.h>

#define memset    u_memset
#define memcpy    u_memcpy
#define memmove   u_memmove
#define memcmp    u_memcmp
#define strcpy    u_strcpy
#define strlcpy   u_strlcpy
#define strcmp    u_strcmp
#define strncmp   u_strncmp
#define strlen    u_strlen
#define strchr    u_strchr
#define strrchr   u_strrchr
#define strstr    u_strstr
#define tolower   u_tolower
#define strtol    u_strtol
#define atoi      u_atoi
#define malloc    u_malloc
#define calloc    u_calloc
#define realloc   u_realloc
#define free      u_free
#define sbrk      u_sbrk
#define printf    u_printf
#define fprintf   u_fprintf
#define vfprintf  u_vfprintf
#define snprintf  u_snprintf
#define vsnprintf u_vsnprintf
#define getopt    u_getopt
#define optarg    u_optarg
#define optind    u_optind
#define gets      u_gets
#define read      u_read
#define write     u_write
#define exit      u_exit

#include "user/lib/file.c"
#include "user/lib/getopt.c"
#include "user/lib/malloc.c"
#include "user/lib/number.c"
#include "user/lib/printf.c"
#include "user/lib/string.c"

#define HEAP_SIZE (1 << 20)

static int failures;
static char heap[HEAP_SIZE] __attribute__((aligned(16)));
static int heap_used;
static char written[4096];
static int written_count, writes;
static const char *input = "";

#define EXPECT(condition)                                                                          \
  do {                                                                                             \
    if (!(condition)) {                                                                            \
      (fputs)("line ", stderr);                                                                    \
      (fputs)(line_text(__LINE__), stderr);                                                        \
      (fputs)(": " #condition "\n", stderr);                                                       \
      failures++;                                                                                  \
    }                                                                                              \
  } while (0)

static const char *line_text(int line) {
  static char text[16];
  snprintf(text, sizeof(text), "%d", line);
  return text;
}

// --- system calls ---

char *sbrk(int n) {
  if (n < 0 || n > HEAP_SIZE - heap_used)
    return (char *)-1;
  heap_used += n;
  return heap + heap_used - n;
}

int read(int fd, void *buf, int n) {
  (void)fd, (void)n;
  if (*input == 0)
    return 0;
  *(char *)buf = *input++;
  return 1;
}

// Takes at most 100 bytes at a time, as a pipe may.
int write(int fd, const void *buf, int n) {
  if (fd != 1 && fd != 2)
    return -1;
  if (n > 100)
    n = 100;
  if (written_count + n > (int)sizeof(written))
    return -1;
  memcpy(written + written_count, buf, (size_t)n);
  written_count += n;
  writes++;
  return n;
}

int open(const char *path, int flags) {
  (void)path, (void)flags;
  return -1;
}

int fstat(int fd, struct stat *st) {
  (void)fd, (void)st;
  return -1;
}

int close(int fd) {
  (void)fd;
  return -1;
}

_Noreturn void exit(int status) {
  (void)status;
  __builtin_trap();
}

// --- tests ---

static char text[256];

#define PRINTS(expected, ...)                                                                      \
  EXPECT(snprintf(text, sizeof(text), __VA_ARGS__) == (int)strlen(expected) &&                     \
         strcmp(text, expected) == 0)

static void test_printf_numbers(void) {
  PRINTS("0 -1 2147483647 -2147483648", "%d %d %d %d", 0, -1, 2147483647, -2147483647 - 1);
  PRINTS("-9223372036854775808", "%ld", -9223372036854775807L - 1);
  PRINTS("18446744073709551615 4294967295", "%lu %u", ~0UL, ~0U);
  PRINTS("ff FF 17 0xff", "%x %X %o %p", 255, 255, 15, (void *)255);
  PRINTS("[   42][42   ][00042][-0042]", "[%5d][%-5d][%05d][%05d]", 42, 42, 42, -42);
  PRINTS("[  042][   -7]", "[%5.3d][%*d]", 42, 5, -7);
  PRINTS("1234567890123 99", "%lld %zu", 1234567890123LL, (size_t)99);
}

static void test_printf_text(void) {
  PRINTS("a% [  ab][ab  ][ab]c", "a%% [%4s][%-4s][%.2s]%c", "ab", "ab", "abcd", 'c');
  PRINTS("[  x][x  ]", "[%3c][%-3c]", 'x', 'x');
  EXPECT(snprintf(text, 4, "abcdef") == 6 && strcmp(text, "abc") == 0);
  text[0] = '#';
  EXPECT(snprintf(text, 0, "abc") == 3 && text[0] == '#');
  const char *odd = "%q%";  // kept from the compiler's eye
  EXPECT(((int (*)(char *, size_t, const char *, ...))snprintf)(text, 9, odd) == 2);
  EXPECT(strcmp(text, "%q") == 0);
}

static void test_printf_writes(void) {
  written_count = writes = 0;
  EXPECT(printf("hello %d\n", 5) == 8 && writes == 1 && written_count == 8);
  written_count = writes = 0;
  EXPECT(fprintf(2, "%300s", "x") == 300 && written_count == 300 && written[299] == 'x');
}

static void test_strings(void) {
  char buf[64];
  for (size_t from = 0; from < 16; from++)
    for (size_t to = 0; to < 16; to++)
      for (size_t n = 0; n < 32; n++) {
        for (int i = 0; i < 64; i++)
          buf[i] = (char)i;
        memmove(buf + to, buf + from, n);
        for (size_t i = 0; i < 64; i++)
          EXPECT(buf[i] == (char)(i >= to && i < to + n ? i - to + from : i));
      }
  memset(buf, 0, 64);
  memset(buf + 3, 0xa5, 21);
  EXPECT(buf[2] == 0 && buf[3] == (char)0xa5 && buf[23] == (char)0xa5 && buf[24] == 0);
  memset(buf + 32, 0x5a, 17);
  EXPECT(buf[31] == 0 && buf[48] == 0x5a && buf[49] == 0);
  EXPECT(strcmp("a", "a") == 0 && strcmp("a", "b") < 0 && strcmp("\xff", "a") > 0);
  EXPECT(strncmp("abc", "abd", 2) == 0 && strncmp("abc", "abd", 3) < 0 && strncmp("", "a", 0) == 0);
  EXPECT(strlcpy(buf, "hello", 4) == 5 && strcmp(buf, "hel") == 0);
  EXPECT(strchr("abca", 'a')[1] == 'b' && strrchr("abca", 'a')[1] == 0 && !strchr("abc", 'x'));
  EXPECT(*strchr("abc", 0) == 0 && strcmp(strstr("xabab", "ba"), "bab") == 0 && !strstr("ab", "c"));
  EXPECT(memcmp("a\0b", "a\0c", 3) < 0 && memcmp("ab", "ac", 1) == 0);
}

static void test_numbers(void) {
  char *end;
  EXPECT(atoi(" -12x") == -12 && atoi("x") == 0 && atoi("+7") == 7);
  EXPECT(strtol("0x1fg", &end, 0) == 31 && *end == 'g');
  EXPECT(strtol("017", &end, 0) == 15 && *end == 0);
  EXPECT(strtol("0x", &end, 0) == 0 && *end == 'x');
  EXPECT(strtol("zz", &end, 36) == 35 * 36 + 35);
  EXPECT(strtol("9223372036854775807", &end, 10) == 9223372036854775807L);
  EXPECT(strtol("9223372036854775806", &end, 10) == 9223372036854775806L);
  EXPECT(strtol("9223372036854775808", &end, 10) == 9223372036854775807L && *end == 0);
  EXPECT(strtol("-9223372036854775808", &end, 10) == -9223372036854775807L - 1);
  EXPECT(strtol("-99999999999999999999", &end, 10) == -9223372036854775807L - 1);
  const char *none = "  -";
  EXPECT(strtol(none, &end, 10) == 0 && end == none);
}

static void test_malloc(void) {
  static unsigned char *blocks[64];
  static size_t sizes[64];
  unsigned random = 1;
  for (int round = 0; round < 20000; round++) {
    random = random * 1103515245 + 12345;
    size_t i = random >> 8 & 63;
    for (size_t k = 0; k < sizes[i]; k++)
      EXPECT(blocks[i][k] == (unsigned char)i);
    free(blocks[i]);
    sizes[i] = random >> 16 & 1023;
    blocks[i] = malloc(sizes[i]);
    EXPECT(blocks[i] && ((uintptr_t)blocks[i] & 15) == 0);
    memset(blocks[i], (int)i, sizes[i]);
  }
  EXPECT(heap_used < HEAP_SIZE / 2);
  for (int i = 0; i < 64; i++)
    free(blocks[i]);
  EXPECT(free_list && !free_list->next && free_list->size == (size_t)heap_used);
}

static void test_malloc_limits(void) {
  EXPECT(!malloc(HEAP_SIZE * 2) && !malloc(~0UL) && !malloc(1UL << 32));
  EXPECT(!calloc(1UL << 33, 1UL << 33));
  char *zeros = calloc(10, 10), *grown = realloc(NULL, 10);
  for (int i = 0; i < 100; i++)
    EXPECT(zeros[i] == 0);
  strcpy(grown, "abc");
  grown = realloc(grown, 5000);
  EXPECT(strcmp(grown, "abc") == 0 && realloc(grown, 20) == grown);
  free(NULL);
}

static void test_getopt(void) {
  static char a[] = "prog", b[] = "-ab", c[] = "-n5", d[] = "-n", e[] = "6", f[] = "-x", g[] = "--",
              h[] = "-a";
  char *argv[] = {a, b, c, d, e, f, g, h, NULL};
  EXPECT(getopt(8, argv, "abn:") == 'a' && getopt(8, argv, "abn:") == 'b');
  EXPECT(getopt(8, argv, "abn:") == 'n' && strcmp(optarg, "5") == 0);
  EXPECT(getopt(8, argv, "abn:") == 'n' && strcmp(optarg, "6") == 0);
  EXPECT(getopt(8, argv, "abn:") == '?');
  EXPECT(getopt(8, argv, "abn:") == -1 && optind == 7);
  optind = 1;
  char *missing[] = {a, d, NULL};
  EXPECT(getopt(2, missing, "n:") == '?' && getopt(2, missing, "n:") == -1);
}

static void test_lines(void) {
  char buf[8];
  input = "ab\nlonger line\nlast";
  EXPECT(readline(0, buf, 8) == 3 && strcmp(buf, "ab\n") == 0);
  EXPECT(readline(0, buf, 8) == 7 && strcmp(buf, "longer ") == 0);
  EXPECT(strcmp(gets(buf, 8), "line\n") == 0 && strcmp(gets(buf, 8), "last") == 0);
  EXPECT(readline(0, buf, 8) == 0 && *gets(buf, 8) == 0);
  written_count = 0;
  EXPECT(writeall(1, text, 250) == 250 && written_count == 250 && writeall(9, "a", 1) == -1);
}

int main(void) {
  test_printf_numbers();
  test_printf_text();
  test_printf_writes();
  test_strings();
  test_numbers();
  test_malloc();
  test_malloc_limits();
  test_getopt();
  test_lines();
  return failures != 0;
}
