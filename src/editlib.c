/*
 * editlib.c - line editing by readline, or libedit, where one of them is installed.
 *
 * The library is looked for when it is first wanted, so that neither building nor running needs it.
 * Its callback interface takes one byte of input at a time; who waits for the next one is the task
 * that edits, so other tasks go on. There is one terminal, so there is one editor.
 *
 * The library must never be left by a Lua error: what it calls back runs protected.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "lib.h"
#include "sig.h"

typedef char *compentry_fn(const char *text, int state);

static struct {
    void *library;
    void (*install)(const char *prompt, void (*line)(char *));
    void (*read_char)(void);
    void (*remove)(void);
    void (*add_history)(const char *);
    int (*read_history)(const char *);
    int (*write_history)(const char *);
    void (*stifle_history)(int);
    char **(*completion_matches)(const char *, compentry_fn *);
    bool editing;
    bool complete; /* `line` is what was entered; NULL: the end */
    char *line;
    int match;    /* the last one given to the library */
    lua_State *L; /* while read_char runs, with the completer at its index 1 */
} edit;

static bool find(const char *name, void *into) {
    void *found = dlsym(edit.library, name);
    memcpy(into, &found, sizeof found);
    return found != NULL;
}

/* ---- completion ---- */

/* Called with state 0 first, until it gives NULL; the list of matches is on top of the stack. */
static char *next_match(const char *text, int state) {
    (void)text;
    char *copy = NULL;
    edit.match = state ? edit.match + 1 : 1;
    if (lua_rawgeti(edit.L, -1, edit.match) == LUA_TSTRING)
        copy = strdup(lua_tostring(edit.L, -1));
    lua_pop(edit.L, 1);
    return copy;
}

/* [completer, text] -> [list] */
static int find_matches(lua_State *L) {
    lua_call(L, 1, 1);
    luaL_checktype(L, -1, LUA_TTABLE);
    return 1;
}

static char **complete(const char *text, int start, int end) {
    (void)start;
    (void)end;
    char **matches = NULL;
    lua_State *L = edit.L;
    if (!L || !lua_checkstack(L, 8))
        return NULL;
    lua_pushcfunction(L, find_matches);
    lua_pushvalue(L, 1);
    lua_pushstring(L, text);
    if (lua_pcall(L, 2, 1, 0) == LUA_OK)
        matches = edit.completion_matches(text, next_match);
    lua_pop(L, 1);
    return matches;
}

/* ---- the terminal's mode, where a signal ends or stops the process ---- */

static struct termios before;              /* the mode before a line was edited */
static volatile sig_atomic_t mode_is_ours; /* it is not in force */

/* Called in handlers. The last but the mode is that pasted text is no longer marked. */
static void restore_mode(void) {
    static const char unmark[] = "\033[?2004l\r";
    if (!mode_is_ours)
        return;
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
    if (write(STDOUT_FILENO, unmark, sizeof unmark - 1) < 0)
        return;
}

static void handle(int signo, void (*handler)(int)) {
    struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART | SA_NODEFER};
    sigemptyset(&sa.sa_mask);
    sigaction(signo, &sa, NULL);
}

static void on_end(int signo) {
    restore_mode();
    signal(signo, SIG_DFL);
    raise(signo);
}

static void on_stop(int signo) {
    struct termios now;
    bool put_back = mode_is_ours && tcgetattr(STDIN_FILENO, &now) == 0;
    restore_mode();
    signal(signo, SIG_DFL);
    raise(signo); /* and here it goes on */
    if (put_back)
        tcsetattr(STDIN_FILENO, TCSANOW, &now);
    handle(signo, on_stop);
}

/* Signals for which the program has other plans are left alone. */
static void handle_signals(void) {
    static const int ends[] = {SIGTERM, SIGHUP, SIGABRT};
    struct sigaction old;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (sigaction(ends[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            handle(ends[i], on_end);
    if (sigaction(SIGTSTP, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
        handle(SIGTSTP, on_stop);
    sig_at_second_interrupt(restore_mode);
}

/* ---- the library ---- */

static void set_variables(void) {
    char **(**completion)(const char *, int, int);
    const char **text;
    int *number;
    if (find("rl_attempted_completion_function", &completion))
        *completion = complete;
    if (find("rl_readline_name", &text))
        *text = "curio";
    if (find("rl_completer_word_break_characters", &text))
        *text = " \t\n\"\\'><=;,+-*/%^~#{}()[]&|";
    if (find("rl_completion_append_character", &number))
        *number = '\0';
    if (find("rl_catch_signals", &number)) /* the kernel does */
        *number = 0;
    if (find("rl_catch_sigwinch", &number))
        *number = 0;
}

static void leave(void) {
    if (edit.editing)
        edit.remove();
    edit.editing = false;
    mode_is_ours = 0;
}

static bool load(const char *name) {
    edit.library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!edit.library)
        return false;
    if (find("rl_callback_handler_install", &edit.install) &&
        find("rl_callback_read_char", &edit.read_char) &&
        find("rl_callback_handler_remove", &edit.remove) &&
        find("add_history", &edit.add_history) && find("read_history", &edit.read_history) &&
        find("write_history", &edit.write_history) &&
        find("stifle_history", &edit.stifle_history) &&
        find("rl_completion_matches", &edit.completion_matches))
        return true;
    dlclose(edit.library);
    edit.library = NULL;
    return false;
}

/* terminal(): are standard input and output one, fit for editing? */
static int f_terminal(lua_State *L) {
    const char *kind = getenv("TERM");
    bool dumb = !kind || strcmp(kind, "dumb") == 0;
    lua_pushboolean(L, !dumb && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO));
    return 1;
}

/* available(): is there such a library? */
static int f_available(lua_State *L) {
    static const char *const names[] = {"libreadline.so.8", "libreadline.so.7", "libreadline.so",
                                        "libedit.so.2",     "libedit.so.0",     "libedit.dylib"};
    for (size_t i = 0; !edit.library && i < sizeof names / sizeof names[0]; i++)
        if (load(names[i])) {
            set_variables();
            atexit(leave); /* the terminal is put back into its mode */
            handle_signals();
        }
    lua_pushboolean(L, edit.library != NULL);
    return 1;
}

static void on_line(char *line) {
    free(edit.line);
    edit.line = line;
    edit.complete = true;
    leave();
}

/* start(prompt): shows it; the terminal's mode changes until the line is complete or stop() */
static int f_start(lua_State *L) {
    const char *prompt = luaL_checkstring(L, 1);
    luaL_argcheck(L, edit.library && !edit.editing, 1, "a line is being edited");
    edit.editing = true;
    edit.complete = false;
    mode_is_ours = tcgetattr(STDIN_FILENO, &before) == 0;
    edit.install(prompt, on_line);
    return 0;
}

/* feed(completer): takes what was typed; false: the line is not complete; else true, line, or true
   at the end of the input. completer(text) gives a list of words that begin with it. */
static int f_feed(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    luaL_argcheck(L, edit.editing, 1, "no line is being edited");
    edit.L = L;
    edit.read_char();
    edit.L = NULL;
    lua_pushboolean(L, edit.complete);
    if (!edit.complete)
        return 1;
    lua_pushstring(L, edit.line);
    free(edit.line);
    edit.line = NULL;
    return 2;
}

static int f_stop(lua_State *L) {
    (void)L;
    leave();
    return 0;
}

static int f_remember(lua_State *L) {
    const char *line = luaL_checkstring(L, 1);
    if (edit.library)
        edit.add_history(line);
    return 0;
}

/* load(path), save(path, most): the history; true, or nil and an OSError */
static int history_result(lua_State *L, int err, const char *op) {
    if (err > 0)
        return error_os_return(L, err, op, lua_tostring(L, 1));
    lua_pushboolean(L, 1);
    return 1;
}

static int f_load(lua_State *L) {
    return history_result(L, edit.library ? edit.read_history(luaL_checkstring(L, 1)) : 0, "read");
}

static int f_save(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    int most = (int)luaL_checkinteger(L, 2);
    if (edit.library)
        edit.stifle_history(most);
    return history_result(L, edit.library ? edit.write_history(path) : 0, "write");
}

static const luaL_Reg functions[] = {
    {"terminal", f_terminal}, {"available", f_available}, {"start", f_start},
    {"feed", f_feed},         {"stop", f_stop},           {"remember", f_remember},
    {"load", f_load},         {"save", f_save},           {NULL, NULL},
};

int open_editlib(lua_State *L) {
    luaL_newlib(L, functions);
    return 1;
}
