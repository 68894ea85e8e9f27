// SPDX-License-Identifier: MIT
//
// Pipes.

#include "user/usertests/tests.h"

static void must_pipe(int p[2]) {
  if (pipe(p) < 0)
    fail("pipe failed");
}

static void basic(void) {
  int p[2];
  must_pipe(p);
  check(write(p[1], "abc", 3) == 3 && write(p[1], "def", 3) == 3);
  check(read(p[0], scratch, 2) == 2 && read(p[0], scratch + 2, 100) == 4);
  check(memcmp(scratch, "abcdef", 6) == 0);
  close(p[1]);
  check(read(p[0], scratch, 100) == 0 && read(p[0], scratch, 100) == 0);
}

static void wrong_end(void) {
  int p[2];
  struct stat st;
  must_pipe(p);
  check(read(p[1], scratch, 1) == -1 && write(p[0], scratch, 1) == -1);
  check(fstat(p[0], &st) == -1 && fstat(p[1], &st) == -1);
}

static void no_reader(void) {
  int p[2];
  must_pipe(p);
  check(write(p[1], "x", 1) == 1);
  close(p[0]);
  check(write(p[1], "x", 1) == -1);
}

// Some bytes fit without anybody reading.
static void room(void) {
  int p[2];
  must_pipe(p);
  check(write(p[1], scratch, 500) == 500);
  check(read(p[0], scratch, 1000) == 500);
}

static uint8 pattern(int i) {
  return (uint8)(i * 7 + i / 251);
}

static _Noreturn void write_pattern(int fd, int total, int step) {
  for (int i = 0; i < total; i += step) {
    int n = total - i < step ? total - i : step;
    for (int k = 0; k < n; k++)
      scratch[k] = (char)pattern(i + k);
    if (write(fd, scratch, n) != n)
      exit(1);
  }
  exit(0);
}

static void transfer(int total, int write_step, int read_step) {
  int p[2], got = 0, n;
  must_pipe(p);
  if (must_fork() == 0) {
    close(p[0]);
    write_pattern(p[1], total, write_step);
  }
  close(p[1]);
  while ((n = read(p[0], scratch, read_step)) > 0) {
    check(n <= read_step);
    for (int i = 0; i < n; i++)
      check((uint8)scratch[i] == pattern(got + i));
    got += n;
  }
  check(n == 0 && got == total && wait_status() == 0);
  close(p[0]);
}

static void transfers(void) {
  transfer(200000, 1033, 4096);
  transfer(200000, 20000, 777);
  transfer(2000, 1, 1);
  transfer(100000, 4096, 4096);
  transfer(5000, 20000, 1);
}

// Two readers and eight writers: nothing is lost or doubled.
static void many(void) {
  int p[2], q[2], counts[8] = {0}, n;
  must_pipe(p);
  must_pipe(q);
  for (int i = 0; i < 8; i++)
    if (must_fork() == 0) {
      memset(scratch, i, 100);
      for (int k = 0; k < 50; k++)
        check(write(p[1], scratch, 100) == 100);
      exit(0);
    }
  close(p[1]);
  for (int i = 0; i < 2; i++)
    if (must_fork() == 0) {
      while ((n = read(p[0], scratch, 33)) > 0)
        check(write(q[1], scratch, n) == n);
      exit(0);
    }
  close(p[0]);
  close(q[1]);
  while ((n = read(q[0], scratch, 1000)) > 0)
    for (int i = 0; i < n; i++) {
      check((uint8)scratch[i] < 8);
      counts[(uint8)scratch[i]]++;
    }
  for (int i = 0; i < 10; i++)
    check(wait_status() == 0);
  for (int i = 0; i < 8; i++)
    check(counts[i] == 5000);
}

// A writer that waits for room learns that the last reader has gone.
static void reader_leaves(void) {
  int p[2];
  must_pipe(p);
  if (must_fork() == 0) {
    close(p[0]);
    for (;;)
      if (write(p[1], scratch, 3000) < 3000)
        exit(write(p[1], "x", 1) == -1 ? 0 : 1);
  }
  close(p[1]);
  sleep(1);
  check(read(p[0], scratch, 10) == 10);
  close(p[0]);
  check(wait_status() == 0);
}

// A reader that waits learns that the last writer has gone, by close and by exit.
static void writer_leaves(void) {
  int p[2];
  for (int i = 0; i < 2; i++) {
    must_pipe(p);
    if (must_fork() == 0) {
      close(p[0]);
      sleep(1);
      if (i == 0)
        close(p[1]);
      exit(0);
    }
    close(p[1]);
    check(read(p[0], scratch, 10) == 0);
    close(p[0]);
    check(wait_status() == 0);
  }
}

static void chain(void) {
  int in[2], out[2], first;
  must_pipe(in);
  first = in[1];
  for (int i = 0; i < 10; i++) {
    must_pipe(out);
    if (must_fork() == 0) {
      char c;
      close(first);
      close(out[0]);
      while (read(in[0], &c, 1) == 1) {
        c++;
        write(out[1], &c, 1);
      }
      exit(0);
    }
    close(in[0]);
    close(out[1]);
    in[0] = out[0];
  }
  check(write(first, "ABC", 3) == 3);
  close(first);
  for (int i = 0; i < 3; i++)
    check(read(in[0], scratch + i, 1) == 1);
  check(memcmp(scratch, "KLM", 3) == 0 && read(in[0], scratch, 1) == 0);
  for (int i = 0; i < 10; i++)
    check(wait_status() == 0);
}

static void many_pipes(void) {
  int p[2];
  for (int i = 0; i < 500; i++) {
    must_pipe(p);
    check(write(p[1], "x", 1) == 1);
    close(p[i % 2]);
    close(p[1 - i % 2]);
  }
}

static void no_descriptors(void) {
  int p[2] = {77, 77}, last = 0, fd;
  while ((fd = dup(0)) >= 0)
    last = fd;
  check(pipe(p) == -1);
  close(last);
  check(pipe(p) == -1);
  check(dup(0) == last);
  close(last);
  close(last - 1);
  check(pipe(p) == 0 && p[0] == last - 1 && p[1] == last);
}

const struct test pipe_tests[] = {
    {"pipe", basic, false},
    {"pipe-wrong-end", wrong_end, false},
    {"pipe-no-reader", no_reader, false},
    {"pipe-room", room, false},
    {"pipe-transfers", transfers, false},
    {"pipe-many", many, false},
    {"pipe-reader-leaves", reader_leaves, false},
    {"pipe-writer-leaves", writer_leaves, false},
    {"pipe-chain", chain, false},
    {"pipe-many-pipes", many_pipes, false},
    {"pipe-no-descriptors", no_descriptors, false},
    {NULL, NULL, false},
};
