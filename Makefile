# curio for Lua. "make demo" and "make test" install what is missing, build and run; "make help"
# lists the rest. A sanitizer build is the same in another place: make BUILD=build/x SAN=address
BUILD  ?= build
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib/lua/5.4
LUADIR ?= $(PREFIX)/share/lua/5.4
MANDIR ?= $(PREFIX)/share/man
CFLAGS ?= -O2 -g
MAKEFLAGS += --no-print-directory

# Lua >= 5.4.4, under any of the names that distributions give it.
LUA    := $(shell for l in lua5.4 lua-5.4 lua54 lua; do \
            $$l -e 'os.exit(_VERSION == "Lua 5.4")' 2>/dev/null && echo $$l && break; done)
LUA_PC := $(shell for p in lua5.4 lua-5.4 lua54 lua; do \
            pkg-config --exists "$$p >= 5.4.4 $$p < 5.5" 2>/dev/null && echo $$p && break; done)
ifneq ($(LUA_PC),)
LUA_CFLAGS := $(shell pkg-config --cflags $(LUA_PC))
LUA_LIBS   := $(shell pkg-config --libs $(LUA_PC))
LUA_STATIC := $(wildcard $(patsubst -l%,$(shell pkg-config --variable=libdir $(LUA_PC))/lib%.a,\
                $(filter -llua%,$(LUA_LIBS))))
endif
# The program takes the whole of liblua, so that any C module finds every symbol of it there.
WHOLE_LUA    := -Wl,--whole-archive $(LUA_STATIC) -Wl,--no-whole-archive
PROGRAM_LIBS := $(if $(LUA_STATIC),$(WHOLE_LUA),$(LUA_LIBS)) -lm -ldl

# OpenSSL's headers only: the library is loaded by who uses it (src/ossl.h). libkqueue is not used
# but by CURIO_POLLER=kqueue on Linux, to try that backend.
KQUEUE   := $(shell pkg-config --libs libkqueue 2>/dev/null)
FLAGS    := -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Isrc $(LUA_CFLAGS) \
              $(shell pkg-config --cflags libssl 2>/dev/null) \
              $(if $(KQUEUE),-DHAVE_KQUEUE $(shell pkg-config --cflags libkqueue))
GENERATE := -pthread -fPIC -fvisibility=hidden $(if $(SAN),-fsanitize=$(SAN) \
              -fno-sanitize-recover=all -fno-omit-frame-pointer -DCURIO_PLAIN_MALLOC)
STEP      = @echo "  $@"; mkdir -p $(@D);
COMPILE   = $(STEP) $(CC) $(FLAGS) $(GENERATE) -MMD -MP $(CPPFLAGS) $(CFLAGS) -o $@
LINK      = $(STEP) $(CC) $(GENERATE) $(CFLAGS) $(LDFLAGS) -o $@

MODULE  := $(BUILD)/curio/core.so
PROGRAM := $(BUILD)/bin/curio
CORE    := $(patsubst src/%.c,$(BUILD)/obj/%.o,$(filter-out src/main.c,$(wildcard src/*.c)))
TESTS   := $(patsubst spec/c/%.c,$(BUILD)/spec/%,$(wildcard spec/c/*_test.c))
BENCHES := $(patsubst bench/%.c,$(BUILD)/bench/%,$(wildcard bench/*.c))
LUA_SRC := $(sort $(shell find lua -name '*.lua' 2>/dev/null))
C_FILES := $(wildcard src/*.[ch] spec/c/*.[ch] spec/fuzz/*.[ch] bench/*.[ch])

SAN_asan := address,undefined
SAN_tsan := thread
CFLAGS_valgrind := -O1 -g -DCURIO_PLAIN_MALLOC -DCURIO_CLONE_COPIES
RUNS := demo test asan tsan valgrind torture fuzz lint bench docs deb
.PHONY: all help needs programs fmt install uninstall dist clean FORCE $(RUNS) $(RUNS:%=run-%)
.SECONDARY .DELETE_ON_ERROR:

all: $(MODULE) $(PROGRAM)
programs: all $(TESTS) $(BENCHES)

$(BUILD)/obj/%.o: src/%.c Makefile | needs
	$(COMPILE) -c $<
$(BUILD)/obj/embedded.o: $(BUILD)/gen/embedded.c Makefile | needs
	$(COMPILE) -c $<
# Always generated, written only when it differs: so a Lua file that was removed is noticed too.
$(BUILD)/gen/embedded.c: FORCE | needs
	@mkdir -p $(@D) && $(LUA) tools/embed.lua $@ lua $(LUA_SRC)
$(MODULE): $(CORE)
	$(LINK) -shared -Wl,-z,nodelete $^ $(KQUEUE)
$(PROGRAM): $(CORE) $(BUILD)/obj/main.o $(BUILD)/obj/embedded.o
	$(LINK) -Wl,-E $^ $(PROGRAM_LIBS) $(KQUEUE)
# A unit test takes from this archive what it needs; plain C that called Lua would not link.
$(BUILD)/libcore.a: $(CORE)
	@rm -f $@ && $(AR) rcs $@ $^
$(BUILD)/spec/%: spec/c/%.c $(BUILD)/libcore.a Makefile
	$(COMPILE) $< $(BUILD)/libcore.a -lm $(KQUEUE) $(LDFLAGS) $(if $(filter tls_%,$*),$(shell pkg-config --libs libssl libcrypto))
$(BUILD)/bench/%: bench/%.c Makefile | needs
	$(COMPILE) $< $(if $(filter %_bare,$*),$(PROGRAM_LIBS)) -lm $(LDFLAGS) $(if $(filter tls_%,$*),$(shell pkg-config --libs libssl libcrypto))
needs:; @sh tools/deps.sh check all

#: make all      the program build/bin/curio and the module build/curio/core.so
#: make demo     serve 1,000 connections with examples/echoserv.lua and check every byte
#: make test     specs and unit tests, under lua5.4 and under curio (SPECS="file ..." for some)
#: make asan     the same under AddressSanitizer and UBSan; make tsan: under ThreadSanitizer
#: make valgrind the same under valgrind's memcheck, with a full leak check; it takes its time
#: make torture  a collection at every allocation, then allocations that fail
#: make fuzz     the parsers under libFuzzer, FUZZ_SECONDS=60 each (FUZZ="name ..." for some)
#: make lint     all linters, gcc and clang without a warning; make fmt: format the C files
#: make bench    measure, print a table; make docs: the documents as HTML
#: make install  PREFIX=/usr/local DESTDIR=; make uninstall; make dist, make deb: packages; make clean
help:; @sed -n 's/^#: //p' Makefile

# These install what is missing and then start make anew, so that it finds what was installed.
$(RUNS):
	@sh tools/deps.sh install $@ && $(MAKE) $(if $(filter -j%,$(MAKEFLAGS)),,-j2) run-$@
run-demo: programs; @sh tools/demo.sh $(BUILD)
run-test: programs
	@LUA=$(LUA) sh tools/test.sh $(BUILD) c lua curio curio:poll curio:kqueue install
run-asan run-tsan run-valgrind: run-%:
	@$(MAKE) BUILD=$(BUILD)/$* SAN=$(SAN_$*) CFLAGS="$(or $(CFLAGS_$*),$(CFLAGS))" programs
	@LUA=$(LUA) CURIO_SAN=$(SAN_$*) sh tools/test.sh $(BUILD)/$* $(or $(filter valgrind,$*),c curio)
run-torture:
	@$(MAKE) BUILD=$(BUILD)/asan SAN=$(SAN_asan) all
	$(BUILD)/asan/bin/curio spec/torture.lua
run-fuzz:
	@FLAGS="$(FLAGS)" LIBS="$(LUA_LIBS) $(KQUEUE)" sh tools/fuzz.sh $(BUILD) $(FUZZ)
run-lint:
	@FLAGS="$(FLAGS)" LUA=$(LUA) sh tools/lint.sh $(C_FILES)
run-bench: programs; $(LUA) bench/run.lua
run-deb:; @sh tools/deb.sh $(BUILD)
run-docs:; @$(LUA) tools/docs.lua && $(LUA) tools/site.lua $(BUILD)

fmt:; clang-format -i $(C_FILES)
install: all
install uninstall:
	@DESTDIR="$(DESTDIR)" BINDIR="$(BINDIR)" LIBDIR="$(LIBDIR)" LUADIR="$(LUADIR)" MANDIR="$(MANDIR)" \
	  sh tools/install.sh $@ $(BUILD)
dist:
	@mkdir -p $(BUILD) && git archive --prefix=curio-dev-1/ -o $(BUILD)/curio-dev-1.tar.gz HEAD
clean:; rm -rf $(BUILD)

-include $(wildcard $(BUILD)/obj/*.d $(BUILD)/spec/*.d $(BUILD)/bench/*.d)
