rockspec_format = "3.0"
package = "curio"
version = "dev-1"

source = {
  url = "curio-dev-1.tar.gz", -- as "make dist" writes it
}

description = {
  summary = "Concurrent I/O for Lua 5.4: tasks, cancellation, timeouts, sockets",
  detailed = [[
    Tasks that look like plain Lua and block like threads, on one thread; with task groups,
    cancellation and timeouts that always work. After the model of Python's curio.
  ]],
  license = "MIT",
}

supported_platforms = { "unix" }

dependencies = {
  "lua >= 5.4, < 5.5",
}

external_dependencies = {
  OPENSSL = { header = "openssl/ssl.h" },
}

build = {
  type = "make",
  build_variables = {
    CFLAGS = "$(CFLAGS)",
  },
  install_variables = {
    CFLAGS = "$(CFLAGS)",
    BINDIR = "$(BINDIR)",
    LIBDIR = "$(LIBDIR)",
    LUADIR = "$(LUADIR)",
    MANDIR = "$(PREFIX)/man",
  },
  copy_directories = { "docs", "examples", "types" },
}
