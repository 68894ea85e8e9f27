// SPDX-License-Identifier: MIT
//
// fuzz [-s seed] [-n calls] [-w workers] [-t minutes] [-o] [-f round | -r round] [-v]: make system
// calls with hostile arguments.
//
// The calls are made in rounds.  In each, workers begin in an empty directory, with a pipe that
// they share, and each makes some calls; its random numbers follow from the seed, the round and its
// place.  With one worker no process runs beside another, and two runs print the same.  With more,
// a killer kills some of them at random times.  -o: beside them a process overflows its kernel
// stack, and others write files.  -f begins with that round, -r makes one alone; -v prints each
// call.
//
// fuzz -i: use all that is on the disk, which may be damaged, and finally remove it.
//
// A round ends when nothing has the writing end of the report's pipe any more.  If that takes too
// long a watcher kills all; if that does not help either, the kernel hangs, and it says so.

#include "user/fuzz/fuzz.h"

#define ROUND_CALLS    400
#define ROUNDS_BETWEEN 300  // counts
#define PROGRAMS       10   // of a round that runs wrong executables
#define ROUND_TICKS    30   // for all its processes, before the watcher kills them
#define MERCY_TICKS    600
#define HUNG           99  // exit code
#define WORKERS_MAX    32

static struct options {
  uint64 calls, round, ticks, workers;
  bool alone, overflow, image, usage;
} options = {.calls = 10000, .workers = 1};

// Of each call: how often it succeeded, failed, and did not return.
static struct { uint64 succeeded, failed, gone; } calls[UNKNOWN + 1];
static uint64 digest = 0xcbf29ce484222325;  // of all records.  FNV-1a

static const char *const names[UNKNOWN + 1] = {
#define NAME(name, number) [number] = #name,
    SYSTEM_CALLS(NAME)
#undef NAME
        [UNKNOWN] = "unknown",
};

// --- The processes of a round ---

// Kill all that this round has started.
static void kill_all(void) {
  static struct process_info list[512];
  int n = procinfo(list, ARRAY_SIZE(list));
  for (int i = 0; i < n && i < (int)ARRAY_SIZE(list); i++)
    if (list[i].pid > getpid())
      kill(list[i].pid);
}

static _Noreturn void watch(uint64 round) {
  close(REPORT_FD);
  for (int i = 1; i < 5; i++) {
    sleep(i * (work.in_turn ? 20 : 1) * ROUND_TICKS);
    kill_all();
  }
  sleep(MERCY_TICKS);
  printf("fuzz: round %lu HANGS\n", round);
  poweroff(HUNG);
  exit(1);
}

// Kill workers at times that nothing determines.
static _Noreturn void kill_some(const int *pids, int n) {
  close(REPORT_FD);
  for (int i = random_below(4); i > 0; i--) {
    for (volatile int wait = random_below(1 << random_below(22)); wait > 0; wait--)
      ;
    kill(pids[random_below(n)] + (one_in(2) ? 0 : random_below(8)));
  }
  exit(0);
}

static _Noreturn void be_worker(uint64 round, int place) {
  random_begin(round * 64 + (uint64)place);
  if (round % 8 == 7 && place == 0)
    run_programs(PROGRAMS);
  values_begin();
  make_calls(ROUND_CALLS);
  exit(0);
}

// --- Records ---

static void take_record(const struct record *r) {
  int number = r->number <= UNKNOWN && names[r->number] ? r->number : UNKNOWN;
  int outcome = r->outcome & ~ANNOUNCED;
  calls[number].succeeded += outcome == SUCCEEDED;
  calls[number].failed += outcome == FAILED;
  calls[number].gone += outcome == BEGUN;
  calls[number].gone -= (r->outcome & ANNOUNCED) != 0;
  digest = (digest ^ r->number) * 0x100000001b3;
  digest = (digest ^ r->outcome) * 0x100000001b3;
}

static void take_records(int fd) {
  static struct record records[512];
  int n;
  while ((n = read(fd, records, sizeof(records))) > 0)
    for (int i = 0; i < n / (int)sizeof(*records); i++)
      take_record(&records[i]);
}

static uint64 calls_made(void) {
  uint64 n = 0;
  for (int i = 0; i <= UNKNOWN; i++)
    n += calls[i].succeeded + calls[i].failed + calls[i].gone;
  return n;
}

static int must_fork(void) {
  int pid = fork();
  if (pid < 0)
    die("fuzz: cannot fork");
  return pid;
}

// Returns the reading end of the report's pipe.  The other is REPORT_FD, and the shared pipe's ends
// come behind it.
static int open_pipes(void) {
  int report[2], shared[2];
  if (pipe(report) < 0 || report[1] != REPORT_FD || pipe(shared) < 0 || shared[1] != REPORT_FD + 2)
    die("fuzz: a descriptor is lost");
  return report[0];
}

static void start_program(char *const argv[]) {
  if (must_fork() > 0)
    return;
  exec(argv[0], argv);
  die("fuzz: cannot run %s", argv[0]);
}

static void start(uint64 round, int workers) {
  int pids[WORKERS_MAX];
  for (int i = 0; i < workers; i++)
    if ((pids[i] = must_fork()) == 0) {
      close(REPORT_FD - 1);
      be_worker(round, i);
    }
  if (workers > 1 && round % 2 == 1 && must_fork() == 0)
    kill_some(pids, workers);
  if (options.overflow) {
    start_program(ARGS("/provoke", "EXHAUST_STACK"));
    start_program(ARGS(round % 4 == 0 ? "/stressfs" : "/true"));
  }
}

static void run_round(uint64 round, int workers) {
  chdir(DIRECTORY);
  int from = open_pipes();
  work.first = getpid();
  work.last = must_fork();
  if (work.last == 0)
    watch(round);
  printf("fuzz: round %lu after %lu calls\n", round, calls_made());
  start(round, workers);
  for (int fd = REPORT_FD; fd <= REPORT_FD + 2; fd++)
    close(fd);
  take_records(from);
  close(from);
  kill(work.last);
  while (wait(NULL) > 0)
    ;
  clean_up();
}

static void print_table(void) {
  printf("fuzz: %-10s %9s %9s %9s\n", "call", "succeeded", "failed", "no return");
  for (int i = 0; i <= UNKNOWN; i++)
    if (names[i])
      printf("fuzz: %-10s %9lu %9lu %9lu\n", names[i], calls[i].succeeded, calls[i].failed,
             calls[i].gone);
}

static long number_of(const char *text) {
  char *end;
  long n = strtol(text, &end, 0);
  if (*end || end == text || n < 0)
    die("fuzz: %s is no number from 0 up", text);
  return n;
}

// What exec of itself runs: "fuzz @number ...", the number that a stream begins with.
static _Noreturn void make_calls_as_told(char *const argv[]) {
  random_begin((uint64)number_of(argv[1] + 1));
  work.in_turn = number_of(argv[2]);
  work.verbose = number_of(argv[3]);
  work.first = (int)number_of(argv[4]);
  work.last = (int)number_of(argv[5]);
  work.depth = 1;
  values_begin();
  make_calls(10);
  exit(0);
}

static bool goes_on(int start) {
  if (options.ticks > 0)
    return (uint64)(uptime() - start) < options.ticks;
  return calls_made() < options.calls;
}

static int run(void) {
  struct counts before;
  int start = uptime();
  uint64 rounds = 0;
  count_all(&before);
  count_all(&before);  // the first time has filled caches
  work.in_turn = options.workers == 1;
  bool differ = false;
  do {
    run_round(options.round + rounds++, (int)options.workers);
    if (rounds % ROUNDS_BETWEEN == 0) {
      printf("fuzz: after %d minutes, %lu calls:\n", (uptime() - start) / 600, calls_made());
      differ = counts_differ(&before);
    }
  } while (!options.alone && !differ && goes_on(start));
  differ |= counts_differ(&before);
  print_table();
  printf("fuzz: seed %lu, %lu rounds, %lu calls", work.seed, rounds, calls_made());
  if (work.in_turn)
    printf(", digest %016lx", digest);
  chdir("/");
  unlink(DIRECTORY);
  printf("\nfuzz: %s\n", differ ? "SOMETHING IS MISSING" : "nothing is missing");
  return differ;
}

int main(int argc, char *argv[]) {
  if (argc == 6 && argv[1][0] == '@')
    make_calls_as_told(argv);
  work.seed = 1;
  for (int c; (c = getopt(argc, argv, "s:n:w:t:or:f:vi")) != -1;) {
    uint64 n = strchr("ovi?", c) ? 0 : (uint64)number_of(optarg);
    options.usage |= c == '?';
    options.overflow |= c == 'o';
    options.image |= c == 'i';
    options.alone |= c == 'r';
    work.verbose |= c == 'v';
    if (c == 's')
      work.seed = n;
    if (c == 'n')
      options.calls = n;
    if (c == 'w')
      options.workers = n;
    if (c == 't')
      options.ticks = n * 600;
    if (c == 'r' || c == 'f')
      options.round = n;
  }
  if (options.usage || optind != argc || options.workers < 1 || options.workers > WORKERS_MAX)
    die("usage: fuzz [-s seed] [-n calls] [-w workers] [-t minutes] [-o] [-f round | -r round] "
        "[-v]\n       fuzz -i");
  return options.image ? walk_disk() : run();
}
