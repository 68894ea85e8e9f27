// SPDX-License-Identifier: MIT
//
// sh [file | -c commands]: the shell.
//
//   list     = pipeline { (";" | "&") [pipeline] }
//   pipeline = command { "|" command }
//   command  = { word | "<" word | ">" word | ">>" word } | "(" list ")" { redirection }
//
// Words end at blanks and at the signs above; '...' and "..." hold them together; # at the
// beginning of a word starts a comment.  cd and exit are built in.
//
// A line is cut into tokens and checked as a whole; then ranges of tokens are run.  Only "(" makes
// the program go deeper, and how deep is limited.

#include "user/user.h"

#define LINE_MAX   1024
#define TOKENS_MAX 256
#define WORDS_MAX  32  // of one command, the terminating null included
#define STAGES_MAX 32  // of one pipeline
#define DEPTH_MAX  10  // 256 bytes of stack each

enum token_kind { WORD, LESS, GREATER, APPEND, PIPE, SEMICOLON, AND, OPEN, CLOSE };

struct token {
  enum token_kind kind;
  char *text;  // of a word, terminated
};

static char line[LINE_MAX];
static char words[2 * LINE_MAX];  // the words of the line, each terminated
static struct token tokens[TOKENS_MAX];
static int token_count;
static int status;       // of the last command
static int script = -1;  // where commands come from; -1: a string
static const char *signs[] = {"word", "<", ">", ">>", "|", ";", "&", "(", ")"};

static int run_list(int from, int to);

// --- reading ---

static int complain(const char *what, const char *detail) {
  fprintf(2, "sh: %s%s%s\n", what, *detail ? " " : "", detail);
  status = 2;
  return -1;
}

static enum token_kind sign_kind(const char *s) {
  switch (*s) {
  case '<':
    return LESS;
  case '>':
    return s[1] == '>' ? APPEND : GREATER;
  case '|':
    return PIPE;
  case ';':
    return SEMICOLON;
  case '&':
    return AND;
  case '(':
    return OPEN;
  case ')':
    return CLOSE;
  default:
    return WORD;
  }
}

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// Copy the word at *s to *to, quotes taken off.  Returns 0, or -1 when a quote is not closed.
static int take_word(const char **s, char **to) {
  char quote = 0;
  for (; **s; (*s)++) {
    char c = **s;
    if (quote ? c == quote : c == '\'' || c == '"')
      quote = quote ? 0 : c;
    else if (!quote && (is_blank(c) || sign_kind(*s) != WORD))
      break;
    else
      *(*to)++ = c;
  }
  *(*to)++ = 0;
  return quote ? complain("a quote is not closed", "") : 0;
}

static int cut_tokens(const char *s) {
  char *to = words;
  token_count = 0;
  for (;;) {
    while (is_blank(*s))
      s++;
    if (*s == 0 || *s == '#')
      return 0;
    if (token_count == TOKENS_MAX)
      return complain("too many words", "");
    struct token *t = &tokens[token_count++];
    t->kind = sign_kind(s);
    t->text = to;
    if (t->kind != WORD)
      s += t->kind == APPEND ? 2 : 1;
    else if (take_word(&s, &to) < 0)
      return -1;
  }
}

// --- checking ---

// Where a command stands while its tokens go by.
enum progress { EMPTY, STARTED, GROUPED };

struct check {
  enum progress progress;
  bool wants_command;  // a pipe stands before
  bool wants_file;     // a redirection stands before
  int depth;
};

static int unexpected(const struct token *t) {
  fprintf(2, "sh: did not expect %s%s%s\n", signs[t->kind], t->kind == WORD ? " " : "",
          t->kind == WORD ? t->text : "");
  status = 2;
  return -1;
}

static int check_operand(struct check *c, const struct token *t) {
  if (t->kind == WORD) {
    if (c->progress == GROUPED && !c->wants_file)
      return unexpected(t);
    c->wants_file = false;
  } else {
    c->wants_file = true;
  }
  if (c->progress == EMPTY)
    c->progress = STARTED;
  c->wants_command = false;
  return 0;
}

static int check_separator(struct check *c, const struct token *t) {
  if (c->progress == EMPTY)
    return unexpected(t);
  c->progress = EMPTY;
  c->wants_command = t->kind == PIPE;
  return 0;
}

static int check_open(struct check *c, const struct token *t) {
  if (c->progress != EMPTY)
    return unexpected(t);
  if (++c->depth > DEPTH_MAX)
    return complain("too many ( inside each other", "");
  c->wants_command = false;
  return 0;
}

// "(a;)" is fine, "()" and "(a|)" are not.
static int check_close(struct check *c, const struct token *t) {
  bool empty_group = t > tokens && t[-1].kind == OPEN;
  if (c->depth == 0 || c->wants_command || empty_group)
    return unexpected(t);
  c->depth--;
  c->progress = GROUPED;
  return 0;
}

static int check_token(struct check *c, const struct token *t) {
  if (c->wants_file && t->kind != WORD)
    return complain("a file name must follow", signs[t[-1].kind]);
  switch (t->kind) {
  case WORD:
  case LESS:
  case GREATER:
  case APPEND:
    return check_operand(c, t);
  case OPEN:
    return check_open(c, t);
  case CLOSE:
    return check_close(c, t);
  default:
    return check_separator(c, t);
  }
}

static int check_tokens(void) {
  struct check c = {.progress = EMPTY};
  for (int i = 0; i < token_count; i++)
    if (check_token(&c, &tokens[i]) < 0)
      return -1;
  if (c.depth > 0)
    return complain("a ) is missing", "");
  if (c.wants_file || c.wants_command)
    return complain("the line ends too early", "");
  return 0;
}

// --- running ---

static bool ends_pipeline(enum token_kind kind) {
  return kind == SEMICOLON || kind == AND;
}

static bool ends_command(enum token_kind kind) {
  return kind == PIPE || ends_pipeline(kind);
}

// Return the first token in [from, to) outside parentheses that ends what is being read, or to.
static int find_end(int from, int to, bool (*ends)(enum token_kind)) {
  int depth = 0;
  for (int i = from; i < to; i++) {
    if (tokens[i].kind == OPEN)
      depth++;
    else if (tokens[i].kind == CLOSE)
      depth--;
    else if (depth == 0 && ends(tokens[i].kind))
      return i;
  }
  return to;
}

static int fork_or_complain(void) {
  int pid = fork();
  if (pid < 0)
    complain("cannot fork", "");
  if (pid == 0 && script > 2) {
    close(script);
    script = -1;  // the number will soon be another file's
  }
  return pid;
}

// There is no seek: the offset goes to the end of the file by reading.
static void skip_to_end(int fd) {
  static char skipped[512];
  struct stat st;
  if (fstat(fd, &st) == 0 && st.type == T_FILE)
    while (read(fd, skipped, sizeof(skipped)) > 0)
      ;
}

static void redirect(enum token_kind kind, const char *name) {
  static const int flags[] = {
      [LESS] = O_RDONLY,
      [GREATER] = O_WRONLY | O_CREATE | O_TRUNC,
      [APPEND] = O_RDWR | O_CREATE,
  };
  int fd = kind == LESS ? 0 : 1;
  close(fd);
  if (open(name, flags[kind]) != fd)
    die("sh: cannot open %s", name);
  if (kind == APPEND)
    skip_to_end(fd);
}

// Collect the words of a command.  Returns how many, -1 if there are too many.
static int collect_words(int from, int to, char *argv[]) {
  int n = 0;
  for (int i = from; i < to; i++) {
    if (tokens[i].kind != WORD) {
      i++;
      continue;
    }
    if (n == WORDS_MAX - 1)
      return complain("too many words for one command", "");
    argv[n++] = tokens[i].text;
  }
  argv[n] = NULL;
  return n;
}

static _Noreturn void run_program(char *argv[]) {
  static char path[LINE_MAX + 1];
  exec(argv[0], argv);
  if (!strchr(argv[0], '/')) {  // programs are in the root, whatever the current directory
    path[0] = '/';
    strlcpy(path + 1, argv[0], sizeof(path) - 1);
    exec(path, argv);
  }
  fprintf(2, "sh: cannot run %s\n", argv[0]);
  exit(127);
}

// Run one command in this process, which is a child made for it.
static _Noreturn void run_command(int from, int to) {
  static char *argv[WORDS_MAX];
  int end = to;
  if (tokens[from].kind == OPEN)
    while (tokens[end - 1].kind != CLOSE)
      end--;
  for (int i = tokens[from].kind == OPEN ? end : from; i < to; i++)
    if (tokens[i].kind != WORD) {
      redirect(tokens[i].kind, tokens[i + 1].text);
      i++;
    }
  if (tokens[from].kind == OPEN)
    exit(run_list(from + 1, end - 1));
  int n = collect_words(from, to, argv);
  if (n <= 0)
    exit(n < 0 ? 2 : 0);
  run_program(argv);
}

// Run cd or exit here.  Returns whether the command was one of them.
static bool run_builtin(int from, int to) {
  static char *argv[WORDS_MAX];
  if (tokens[from].kind != WORD)
    return false;
  bool is_cd = strcmp(tokens[from].text, "cd") == 0;
  bool is_exit = strcmp(tokens[from].text, "exit") == 0;
  if (!is_cd && !is_exit)
    return false;
  int n = collect_words(from, to, argv);
  if (n < 0)
    return true;
  if (is_exit)
    exit(n > 1 ? atoi(argv[1]) : status);
  status = 0;
  if (n > 2)
    complain("cd takes one directory", "");
  else if (chdir(n > 1 ? argv[1] : "/") < 0)
    complain("cannot cd to", argv[1]);
  return true;
}

static void move_fd(int from, int to) {
  if (from == to)
    return;
  close(to);
  if (dup(from) != to)
    die("sh: cannot move a file");
  close(from);
}

// Start one command that reads from in, and from whose output *out reads if it is not the last.
// Takes in over.  Returns the child's pid or -1.
static int start_stage(int from, int to, int in, bool last, int *out) {
  int p[2] = {-1, -1};
  if (!last && pipe(p) < 0)
    return complain("cannot make a pipe", "");
  int pid = fork_or_complain();
  if (pid == 0) {
    if (!last) {
      close(p[0]);
      move_fd(p[1], 1);
    }
    move_fd(in, 0);
    run_command(from, to);
  }
  if (in != 0)
    close(in);
  if (!last)
    close(p[1]);
  *out = p[0];
  return pid;
}

// Wait for all of the pids; the status is that of the last one.
static void wait_all(const int pids[], int n) {
  int left = n, value;
  while (left > 0) {
    int pid = wait(&value);
    if (pid < 0)
      return;
    for (int i = 0; i < n; i++)
      if (pids[i] == pid) {
        left--;
        if (i == n - 1)
          status = value;
      }
  }
}

static void run_pipeline(int from, int to) {
  static int pids[STAGES_MAX];  // one is enough: a nested list runs in a child
  int n = 0, in = 0;
  if (find_end(from, to, ends_command) == to && run_builtin(from, to))
    return;
  while (from < to) {
    int end = find_end(from, to, ends_command);
    int pid = n < STAGES_MAX ? start_stage(from, end, in, end == to, &in)
                             : complain("too many | in one line", "");
    if (pid < 0) {
      if (in > 0)
        close(in);  // the stages that write to it get an error
      wait_all(pids, n);
      status = 2;
      return;
    }
    pids[n++] = pid;
    from = end + 1;
  }
  wait_all(pids, n);
}

static void run_background(int from, int to) {
  if (fork_or_complain() == 0) {
    run_pipeline(from, to);
    exit(status);
  }
}

// Run the tokens of [from, to).  Returns the status of the last command.
static int run_list(int from, int to) {
  while (from < to) {
    int end = find_end(from, to, ends_pipeline);
    if (end < to && tokens[end].kind == AND)
      run_background(from, end);
    else
      run_pipeline(from, end);
    from = end + 1;
  }
  return status;
}

static void run_line(const char *text) {
  if (cut_tokens(text) == 0 && check_tokens() == 0)
    run_list(0, token_count);
}

static bool is_terminal(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0 && st.type == T_DEVICE;
}

// Skip the rest of a line that is too long.
static void skip_line(int fd) {
  char c;
  while (read(fd, &c, 1) == 1 && c != '\n')
    ;
  complain("the line is too long", "");
}

static void run_file(int fd) {
  bool prompt = is_terminal(fd);
  for (;;) {
    if (prompt)
      fprintf(2, "$ ");
    int n = readline(fd, line, sizeof(line));
    if (n <= 0) {
      if (prompt)
        fprintf(2, "\n");
      return;
    }
    if (n == sizeof(line) - 1 && line[n - 1] != '\n')
      skip_line(fd);
    else
      run_line(line);
  }
}

int main(int argc, char *argv[]) {
  if (argc > 1 && strcmp(argv[1], "-c") == 0) {
    if (argc != 3)
      die("usage: sh [file | -c commands]");
    if (strlcpy(line, argv[2], sizeof(line)) >= sizeof(line))
      die("sh: the line is too long");
    run_line(line);
    return status;
  }
  script = argc > 1 ? open(argv[1], O_RDONLY) : 0;
  if (script < 0)
    die("sh: cannot open %s", argv[1]);
  run_file(script);
  return status;
}
