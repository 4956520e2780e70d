/*
 * main.c - the program: an interpreter as lua is, whose main chunk is a task.
 *
 * Everything that lua runs one after the other (LUA_INIT, -e, -l, the script) is run here by one C
 * function, the body of the main task of one kernel; so all of it may block, and it continues where
 * it was. curio.program, in Lua, has the rest: the kernel, and the require and os.exit of the
 * program. Afterwards the kernel is shut down and the state closed, whatever happened.
 */
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "embedded.h"
#include "home.h"
#include "kernel.h"
#include "lib.h"
#include "ossl.h"
#include "state.h"

#define PROGRAM "curio"
#define VERSION "dev"
/* Growth of memory, in percent, after which the young are collected, and after which all is. A
   young collection looks at every coroutine: at Lua's own 20 and 100 ten thousand idle ones cost
   the busy ones half as much again. */
#define GROWTH_YOUNG 100
#define GROWTH_ALL 200
#define IGNORE_MARK "-" /* in module names; see package.config */

enum { STATUS_INTERRUPTED = 130 }; /* 128 + SIGINT, as shells say it */

struct program {
    int argc;
    char **argv;
    int script; /* its place in argv; argc: none */
    bool has_e, has_i, has_v, has_E;
    bool in_repl;
    const char *debug;   /* names of debuggers; NULL: none */
    const char *trace;   /* the file for the time line; NULL: none */
    const char *monitor; /* its address; "": the default one; NULL: none */
    const char *attach;  /* whose monitor to talk to; NULL: run a script */
    int next;            /* place in argv of what is to be run next; 0: LUA_INIT */
    const char *global;  /* where the result of the running -l goes; NULL: not a -l */
    int status;          /* exit status */
};

static struct program program;

int luaopen_curio_core(lua_State *L);

#ifdef __SANITIZE_THREAD__
#include <setjmp.h>
/* How a liblua built with _FORTIFY_SOURCE raises and yields. ThreadSanitizer knows longjmp only;
   past it, its record of the stack would grow with each yield until it overflows. */
__attribute__((noreturn)) void __longjmp_chk(jmp_buf env, int value);
void __longjmp_chk(jmp_buf env, int value) {
    longjmp(env, value);
}
#endif

/* ---- messages ---- */

static void say(const char *msg) {
    fprintf(stderr, "%s: %s\n", PROGRAM, msg);
    fflush(stderr);
}

static void print_banner(void) {
    printf("%s %s, on %s\n", PROGRAM, VERSION, LUA_RELEASE);
    fflush(stdout);
}

static void print_version(void) {
    print_banner();
    puts(ossl_load() ? OpenSSL_version(OPENSSL_VERSION) : "no OpenSSL 3 here");
    fflush(stdout);
}

static void print_usage(FILE *out) {
    fputs("usage: curio [options] [script [args]]\n"
          "  -e stat        execute string 'stat'\n"
          "  -i             enter interactive mode after executing 'script'\n"
          "  -l mod         require library 'mod' into global 'mod'\n"
          "  -l g=mod       require library 'mod' into global 'g'\n"
          "  -v, --version  show version information\n"
          "  -E             ignore environment variables\n"
          "  -W             turn warnings on\n"
          "  -h, --help     show this text\n"
          "  --debug[=list] say what tasks do: schedtrace,traptrace,logcrash,longblock\n"
          "  --trace=FILE   write the tasks' time line to FILE, for Perfetto\n"
          "  --monitor[=address]\n"
          "                 take commands about the tasks: at a path, or host:port of loopback\n"
          "  --attach pid   or address: talk to the monitor of a process\n"
          "  --             stop handling options\n"
          "  -              stop handling options and execute stdin\n",
          out);
}

/* ---- options ---- */

static int usage_error(const char *format, const char *option) {
    fprintf(stderr, "%s: ", PROGRAM);
    fprintf(stderr, format, option);
    fputc('\n', stderr);
    print_usage(stderr);
    return EXIT_FAILURE;
}

/* The parsers below return -1 to go on, or else the status to exit with at once. */

/* What follows "name=" in the option; NULL: it is another one. */
static const char *value_of(const char *option, const char *name) {
    size_t len = strlen(name);
    return strncmp(option, name, len) == 0 && option[len] == '=' ? option + len + 1 : NULL;
}

/* Options with a value; -1 to go on, 0: it is none of these. */
static int parse_setting(struct program *p, const char *option) {
    static const struct {
        const char *name, *bare; /* bare: the value without one; NULL: there must be one */
        size_t field;
    } settings[] = {
        {"--debug", "schedtrace", offsetof(struct program, debug)},
        {"--trace", NULL, offsetof(struct program, trace)},
        {"--monitor", "", offsetof(struct program, monitor)},
        {"--attach", NULL, offsetof(struct program, attach)},
    };
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        const char *value = value_of(option, settings[i].name);
        if (!value && strcmp(option, settings[i].name) == 0)
            value = settings[i].bare ? settings[i].bare : "";
        else if (!value)
            continue;
        if (!*value && !settings[i].bare)
            return usage_error("'%s' needs a value, after '='", option);
        *(const char **)((char *)p + settings[i].field) = value;
        return -1;
    }
    return 0;
}

static int parse_long(struct program *p, const char *option) {
    if (strcmp(option, "--help") == 0) {
        print_usage(stdout);
        return EXIT_SUCCESS;
    }
    if (strcmp(option, "--version") == 0) {
        print_version();
        return EXIT_SUCCESS;
    }
    int status = parse_setting(p, option);
    return status ? status : usage_error("unrecognized option '%s'", option);
}

static int parse_flag(struct program *p, const char *option) {
    if (option[2] != '\0')
        return usage_error("unrecognized option '%s'", option);
    switch (option[1]) {
    case 'E':
        p->has_E = true;
        return -1;
    case 'i':
        p->has_i = p->has_v = true;
        return -1;
    case 'v':
        p->has_v = true;
        return -1;
    case 'W': /* obeyed in its turn, by next_option */
        return -1;
    case 'h':
        return parse_long(p, "--help");
    default:
        return usage_error("unrecognized option '%s'", option);
    }
}

static int parse(struct program *p) {
    int i = 1;
    for (; i < p->argc && p->argv[i][0] == '-' && p->argv[i][1] != '\0'; i++) {
        const char *option = p->argv[i];
        if (strcmp(option, "--") == 0) {
            i++;
            break;
        }
        int status = -1;
        if (strcmp(option, "--attach") == 0 && i + 1 < p->argc) {
            p->attach = p->argv[++i];
        } else if (option[1] == '-') {
            status = parse_long(p, option);
        } else if (option[1] == 'e' || option[1] == 'l') {
            p->has_e = p->has_e || option[1] == 'e';
            if (option[2] == '\0' && (++i == p->argc || p->argv[i][0] == '-'))
                return usage_error("'%s' needs argument", option);
        } else {
            status = parse_flag(p, option);
        }
        if (status >= 0)
            return status;
    }
    p->script = i;
    return -1;
}

/* ---- the Lua state ---- */

/* The loader of an embedded module, whose source is compiled only now: [name, data] -> [result].
   None of them blocks while it is loaded. */
static int load_embedded(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    lua_settop(L, 2);
    const struct embedded_module *m = embedded_modules;
    while (m->name && strcmp(m->name, name) != 0)
        m++;
    if (!m->name)
        return luaL_error(L, "no module '%s' in the program", name);
    const char *path = strcmp(name, "curio") == 0 ? "curio.init" : name;
    lua_pushfstring(L, "=%s.lua", luaL_gsub(L, path, ".", "/"));
    if (luaL_loadbufferx(L, m->source, m->len, lua_tostring(L, -1), "t") != LUA_OK)
        return lua_error(L);
    lua_insert(L, 1);
    lua_settop(L, 3); /* chunk, name, loader data */
    lua_call(L, 2, 1);
    return 1;
}

static void preload(lua_State *L) {
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_curio_core);
    lua_setfield(L, -2, "curio.core");
    for (const struct embedded_module *m = embedded_modules; m->name; m++) {
        lua_pushcfunction(L, load_embedded);
        lua_setfield(L, -2, m->name);
    }
    lua_pop(L, 1);
}

/* The script is arg[0], what stands before it has negative places. */
static void make_arg(lua_State *L, const struct program *p) {
    int script = p->script < p->argc ? p->script : 0;
    int after = p->argc - script - 1;
    lua_createtable(L, after > 0 ? after : 0, script + 1);
    for (int i = 0; i < p->argc; i++) {
        lua_pushstring(L, p->argv[i]);
        lua_rawseti(L, -2, i - script);
    }
    lua_setglobal(L, "arg");
}

/* ---- what the main task runs ---- */

/* Pushes err.traceback, if that is a string. */
static bool push_known_traceback(lua_State *L, int err) {
    if (!lua_istable(L, err))
        return false;
    lua_pushliteral(L, "traceback");
    return lua_rawget(L, err) == LUA_TSTRING;
}

/* As a C function calls the chunks and the task's base calls that, the stack's end says nothing. */
static void drop_c_frames(lua_State *L) {
    static const char frame[] = "\n\t[C]: in ?";
    size_t len;
    const char *text = lua_tolstring(L, -1, &len);
    size_t n = sizeof frame - 1;
    size_t keep = len;
    while (keep >= 2 * n && memcmp(text + keep - n, frame, n) == 0 &&
           memcmp(text + keep - 2 * n, frame, n) == 0)
        keep -= n;
    if (keep == len)
        return;
    lua_pushlstring(L, text, keep);
    lua_replace(L, -2);
}

static char traceback_key; /* registry: of the error that is on its way */

/* The message handler: [err] -> [err], for __close handlers see it: the scope of a timeout could
   not tell whose error a text is. The traceback is kept aside; that of an error which a handler
   raises in place of another tells nothing, and the first one stays. */
static int keep_traceback(lua_State *L) {
    luaL_traceback(L, L, NULL, 1);
    drop_c_frames(L);
    bool known = lua_rawgetp(L, LUA_REGISTRYINDEX, &traceback_key) == LUA_TSTRING;
    lua_pop(L, 1);
    if (known && strcmp(lua_tostring(L, -1), "stack traceback:\n\t[C]: in ?") == 0) {
        lua_pop(L, 1);
        return 1;
    }
    lua_rawsetp(L, LUA_REGISTRYINDEX, &traceback_key);
    return 1;
}

/* Pushes what went wrong, as lua tells it: with a traceback, unless the error has a text of its own
   and is none of ours. [-0, +n, e] */
static const char *describe(lua_State *L, int err) {
    const char *msg = lua_tostring(L, err);
    bool plain = false;
    if (!msg && luaL_callmeta(L, err, "__tostring") && lua_type(L, -1) == LUA_TSTRING) {
        msg = lua_tostring(L, -1);
        if (push_known_traceback(L, err))
            return lua_pushfstring(L, "%s\n%s", msg, lua_tostring(L, -1));
        plain = !error_is(L, err, "CurioError");
    }
    if (!msg)
        msg = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, err));
    if (plain || lua_rawgetp(L, LUA_REGISTRYINDEX, &traceback_key) != LUA_TSTRING)
        return msg;
    return lua_pushfstring(L, "%s\n%s", msg, lua_tostring(L, -1));
}

/* The three ways to push a chunk give a status, as lua_load does. */

static int load_init(lua_State *L, bool *none) {
    static const char versioned[] = "=LUA_INIT_" LUA_VERSION_MAJOR "_" LUA_VERSION_MINOR;
    const char *name = versioned;
    const char *init = getenv(name + 1);
    if (!init) {
        name = "=LUA_INIT";
        init = getenv(name + 1);
    }
    *none = !init;
    if (!init)
        return LUA_OK;
    return init[0] == '@' ? luaL_loadfile(L, init + 1)
                          : luaL_loadbuffer(L, init, strlen(init), name);
}

static int load_statement(lua_State *L, const char *source) {
    return luaL_loadbuffer(L, source, strlen(source), "=(command line)");
}

static int load_script(lua_State *L, const struct program *p) {
    const char *name = p->argv[p->script];
    bool is_stdin = strcmp(name, "-") == 0 && strcmp(p->argv[p->script - 1], "--") != 0;
    return luaL_loadfile(L, is_stdin ? NULL : name);
}

/* -l mod, -l g=mod: pushes require and the name. A suffix "-v2" is not part of the global's name.
 */
static void push_require(lua_State *L, struct program *p, const char *what) {
    const char *equals = strchr(what, '=');
    size_t len = equals ? (size_t)(equals - what) : strcspn(what, IGNORE_MARK);
    lua_pushlstring(L, what, len);
    p->global = lua_tostring(L, -1); /* alive as long as it stays on the stack */
    lua_getglobal(L, "require");
    lua_pushstring(L, equals ? equals + 1 : what);
}

/* Pushes what the script gets: the elements of arg, which LUA_INIT and -e may have changed. */
static int push_script_args(lua_State *L) {
    if (lua_getglobal(L, "arg") != LUA_TTABLE)
        luaL_error(L, "'arg' is not a table");
    int n = (int)luaL_len(L, -1);
    luaL_checkstack(L, n + 3, "too many arguments to script");
    int arg = lua_gettop(L);
    for (int i = 1; i <= n; i++)
        lua_rawgeti(L, arg, i);
    lua_remove(L, arg);
    return n;
}

enum { NOTHING_LEFT = -1, FAILED = -2 };

/* Reads -e, -l and -W until there is something to call; see next_call. */
static int next_option(lua_State *L, struct program *p, int *status) {
    while (p->next < p->script) {
        const char *option = p->argv[p->next++];
        if (option[0] != '-' || !strchr("elW", option[1]) || option[1] == '\0')
            continue; /* -E and the like */
        if (option[1] == 'W') {
            lua_warning(L, "@on", 0);
            continue;
        }
        const char *what = option[2] ? option + 2 : p->argv[p->next++];
        if (option[1] == 'l') {
            push_require(L, p, what);
            return 1;
        }
        *status = load_statement(L, what);
        return 0;
    }
    return NOTHING_LEFT;
}

/* There is no script. */
static int next_from_stdin(lua_State *L, struct program *p, int *status) {
    if (p->next > p->argc || p->has_e || p->has_v || isatty(STDIN_FILENO))
        return NOTHING_LEFT;
    p->next = p->argc + 1;
    *status = luaL_loadfile(L, NULL);
    return 0;
}

static bool wants_repl(const struct program *p) {
    if (p->attach || p->in_repl)
        return false;
    return p->has_i || (p->script >= p->argc && !p->has_e && !p->has_v && isatty(STDIN_FILENO));
}

/* Pushes the REPL. */
static int next_repl(lua_State *L, struct program *p) {
    p->in_repl = true;
    if (!p->has_v)
        print_banner();
    lua_getglobal(L, "require");
    lua_pushliteral(L, "curio.program.repl");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "run");
    return 0;
}

/* Pushes the next function to call and its arguments; the number of these, or NOTHING_LEFT, or
   FAILED and a message. */
static int next_call(lua_State *L, struct program *p) {
    int status = LUA_OK;
    int nargs = NOTHING_LEFT;
    bool none = true;
    p->global = NULL;
    if (p->next == 0) {
        p->next = 1;
        if (!p->has_E)
            status = load_init(L, &none);
        if (!none)
            nargs = 0;
    }
    if (nargs < 0)
        nargs = next_option(L, p, &status);
    if (nargs < 0 && p->script >= p->argc)
        nargs = next_from_stdin(L, p, &status);
    else if (nargs < 0 && p->next == p->script) {
        p->next = p->argc + 1;
        status = load_script(L, p);
        nargs = status == LUA_OK ? push_script_args(L) : 0;
    }
    if (nargs == NOTHING_LEFT && wants_repl(p))
        nargs = next_repl(L, p);
    return status == LUA_OK ? nargs : FAILED;
}

/* [err] Says it. It has a __tostring of the script's, perhaps. */
static int say_error(lua_State *L) {
    say(describe(L, 1));
    return 0;
}

/* Tells of the error on top of the stack, unless it is only that os.exit ends the main task. */
static void report(lua_State *L) {
    program.status = error_is(L, -1, "Interrupted") ? STATUS_INTERRUPTED : EXIT_FAILURE;
    if (kernel_current && kernel_current->exit_asked)
        return;
    lua_pushcfunction(L, say_error);
    lua_insert(L, -2);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK)
        say("(error in the error's __tostring)");
}

/* The main task is called after what it runs: the function on the stack at that place. */
static void name_main_task(lua_State *L, int function) {
    function = lua_absindex(L, function);
    task_push(L, kernel_current->current);
    lua_pushvalue(L, function);
    lua_setiuservalue(L, -2, TASK_UV_NAME);
    lua_pop(L, 1);
}

/* One thing after the other; also the continuation after one that has slept. */
static int run_rest(lua_State *L, int status, lua_KContext ctx) {
    struct program *p = &program;
    while (status == LUA_OK || status == LUA_YIELD) {
        if (p->global)
            lua_setglobal(L, p->global);
        lua_settop(L, 1);
        int nargs = next_call(L, p);
        if (nargs == NOTHING_LEFT) {
            p->status = EXIT_SUCCESS;
            return 0;
        }
        if (nargs == FAILED)
            break;
        name_main_task(L, -nargs - 1);
        status = lua_pcallk(L, nargs, p->global ? 1 : 0, 1, ctx, run_rest);
    }
    report(L);
    return 0;
}

static int run_main(lua_State *L) {
    lua_settop(L, 0);
    lua_pushcfunction(L, keep_traceback);
    return run_rest(L, LUA_OK, 0);
}

/* ---- the program ---- */

/* What curio.program is to do besides; a field is absent where the option was. */
static void push_options(lua_State *L, const struct program *p) {
    lua_createtable(L, 0, 4);
    lua_pushstring(L, p->debug);
    lua_setfield(L, -2, "debug");
    lua_pushstring(L, p->trace);
    lua_setfield(L, -2, "trace");
    lua_pushstring(L, p->attach);
    lua_setfield(L, -2, "attach");
    if (p->monitor && !*p->monitor)
        lua_pushboolean(L, 1);
    else
        lua_pushstring(L, p->monitor);
    lua_setfield(L, -2, "monitor");
}

/* What every state of the program has. */
static void equip(lua_State *L) {
    luaL_openlibs(L);
    lua_gc(L, LUA_GCGEN, GROWTH_YOUNG, GROWTH_ALL); /* as lua does: messages die young */
    preload(L);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "curio.program");
    lua_call(L, 1, 1);
}

static int start(lua_State *L) {
    struct program *p = &program;
    if (p->has_E) {
        lua_pushboolean(L, 1);
        lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
    }
    equip(L);
    make_arg(L, p);
    lua_pushcfunction(L, run_main);
    push_options(L, p);
    lua_call(L, 2, 1);
    if (!lua_isnil(L, -1)) /* os.exit */
        p->status = (int)lua_tointeger(L, -1);
    return 0;
}

static void run(void) {
    static const struct state_maker states = {home_open, equip, home_close};
    lua_State *L = home_open();
    if (!L) {
        say("cannot create state: not enough memory");
        return;
    }
    state_set_maker(&states);
    lua_pushcfunction(L, keep_traceback);
    lua_pushcfunction(L, start);
    if (lua_pcall(L, 0, 0, 1) != LUA_OK)
        report(L);
    home_close(L);
}

/* Were one of the three closed, the kernel's poller or a socket would take its number, and what is
   meant for people would go there. What stands in for it fails as a closed one does. */
static void occupy_standard_fds(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_RDONLY : O_WRONLY) < 0)
            return;
}

int main(int argc, char **argv) {
    program = (struct program){.argc = argc, .argv = argv, .status = EXIT_FAILURE};
    int status = parse(&program);
    if (status >= 0)
        return status;
    if (program.has_v)
        print_banner();
    occupy_standard_fds();
    run();
    return program.status;
}
