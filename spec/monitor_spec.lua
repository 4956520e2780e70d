-- The monitor: its commands, who may connect, and peers that mean no good.

local curio = require "curio"
local core = require "curio.core"
local helper = require "spec.helper"
local monitor = require "curio.monitor"
local program = require "spec.program"
local sockets = require "curio.socket"

local it = helper.task_it(it)

-- ---- a monitor of the running kernel, and connections to it ----

local directory

local function kernel()
  return core.traps.get_kernel()
end

local function with_monitor(address)
  address = address or directory .. "/" .. #directory .. ".sock"
  monitor.open(kernel(), address)
  return address, helper.closing(function()
    monitor.close(kernel())
  end)
end

local Talk = {}
Talk.__index = Talk

function Talk.__close(self)
  self.stream:close()
end

-- What comes up to the next prompt.
function Talk:answer()
  return assert(self.stream:read_until("curio > ", { max = 1000000 }))
end

function Talk:ask(command)
  assert(self.stream:write(command, "\n"))
  return self:answer()
end

local function connect(path)
  local sock = assert(curio.open_unix_connection(path))
  local talk = setmetatable({ stream = sock:as_stream() }, Talk)
  talk.welcome = talk:answer()
  return talk
end

-- fn(talk) with a monitor and a connection to it.
local function talking(fn)
  local path, stop = with_monitor()
  local _ <close> = stop
  local talk <close> = connect(path)
  fn(talk)
end

-- The cells of ps by task, under the names of the columns.
local function table_of(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do
    lines[#lines + 1] = line
  end
  local columns = {}
  for from, name in lines[1]:gmatch "()(%u%l*)" do
    columns[#columns + 1] = { name = name, from = from }
  end
  local rows = {}
  for i = 3, #lines do
    local row = {}
    for n, column in ipairs(columns) do
      local to = columns[n + 1] and columns[n + 1].from - 2
      row[column.name] = lines[i]:sub(column.from, to):match "^(.-)%s*$"
    end
    rows[tonumber(row.Task)] = row
  end
  return rows
end

local function line_here()
  return debug.getinfo(2, "l").currentline
end

describe("the monitor", function()
  setup(function()
    directory = helper.output_of "mktemp -d":match "[^\n]+"
  end)
  teardown(function()
    os.execute("rm -rf " .. helper.quote(directory))
  end)

  it("says whose it is", function()
    talking(function(talk)
      assert.matches("^curio monitor of process %d+\n", talk.welcome)
    end)
  end)

  it("lists the tasks with what they wait for, and where", function()
    talking(function(talk)
      local a, b = sockets.socketpair()
      local line
      local reader = helper.spawn {
        function()
          line = line_here() + 1
          a:recv(1)
        end,
        name = "reader",
      }
      local sleeper = helper.spawn {
        function()
          curio.timeout_after(50, function()
            curio.sleep(40)
          end)
        end,
        name = "a sleeper",
      }
      local rows = table_of(talk:ask "ps")
      local row = rows[reader.id]
      assert.equal("reader", row.Name)
      assert.equal("READ_WAIT fd " .. a:fileno(), row.State)
      assert.equal("spec/monitor_spec.lua:" .. line, row.Where)
      assert.equal("1", row.Cycles)
      assert.equal("None", row.Timeout)
      assert.equal("None", row.Sleep)
      row = rows[sleeper.id]
      assert.equal("TIME_SLEEP", row.State)
      assert.is_true(tonumber(row.Timeout) > 40 and tonumber(row.Timeout) <= 50)
      assert.is_true(tonumber(row.Sleep) > 30 and tonumber(row.Sleep) <= 40)
      reader:cancel()
      sleeper:cancel()
      a:close()
      b:close()
    end)
  end)

  it("shows the stack of a task", function()
    talking(function(talk)
      local task = helper.spawn(function()
        local function inner()
          curio.sleep(10)
        end
        inner()
      end)
      local text = talk:ask("where " .. task.id)
      assert.matches("Task%(id=" .. task.id, text)
      assert.matches("monitor_spec.lua:%d+: in upvalue 'inner'\n", text:gsub("local", "upvalue"))
      task:cancel()
    end)
  end)

  it("shows who spawned whom, and the groups", function()
    talking(function(talk)
      local inner
      local outer = helper.spawn {
        function()
          curio.group(function(g)
            inner = g:spawn { curio.sleep, 10, name = "inner" }
            g:spawn { curio.sleep, 10, name = "second" }
          end)
        end,
        name = "outer",
      }
      local tree = talk:ask "tree"
      assert.matches("\n(%s*)" .. outer.id .. " %u+_%u+ outer\n%1  " .. inner.id
        .. " TIME_SLEEP inner %(group 1%)\n%1  %d+ TIME_SLEEP second %(group 1%)\n", tree)
      assert.matches("^" .. inner.id .. " [^\n]+\n" .. outer.id .. " [^\n]+\n",
        talk:ask("parents " .. inner.id))
      outer:cancel()
    end)
  end)

  it("shows a task whose spawner has ended", function()
    talking(function(talk)
      local child
      local parent = curio.spawn(function()
        child = curio.spawn(curio.sleep, 10)
      end)
      parent:join()
      assert.matches("\n" .. parent.id .. " %(ended%)\n", talk:ask("parents " .. child.id))
      assert.matches("%f[%d]" .. child.id .. " TIME_SLEEP", talk:ask "tree")
      child:cancel()
    end)
  end)

  it("cancels a task", function()
    talking(function(talk)
      local task = curio.spawn(curio.sleep, 10)
      assert.matches("cancelling task " .. task.id, talk:ask("cancel " .. task.id))
      task:wait()
      assert.is_true(task.cancelled)
      assert.equal("monitor", task.exception.reason)
    end)
  end)

  it("sends a signal to the process", function()
    talking(function(talk)
      assert.matches("sent SIGURG to the process", talk:ask "signal SIGURG")
      assert.matches("sent urg to the process", talk:ask "signal urg")
      assert.matches("which signal%?", talk:ask "signal NONE")
      assert.matches("which signal%?", talk:ask "signal")
    end)
  end)

  it("has an answer to everything else", function()
    talking(function(talk)
      assert.matches("ps .-quit", talk:ask "help")
      assert.matches("is not a command", talk:ask "hello")
      assert.matches("is not a command", talk:ask "ps 1 2")
      assert.matches("there is no task 12345", talk:ask "where 12345")
      assert.matches("there is no task x", talk:ask "cancel x")
      assert.matches("which task%?", talk:ask "where")
      assert.equal("", talk:ask "")
      assert.equal("", talk:ask "  \t\r")
      assert.matches("Task", talk:ask "PS")
    end)
  end)

  it("answers commands that come all at once, in their order", function()
    talking(function(talk)
      assert(talk.stream:write(("where 12345\nhello\n"):rep(50)))
      for _ = 1, 50 do
        assert.matches("there is no task", talk:answer())
        assert.matches("is not a command", talk:answer())
      end
    end)
  end)

  it("hangs up when asked to, and when the peer has closed its side", function()
    talking(function(talk)
      assert(talk.stream:write "quit\nps\n")
      assert.equal("bye\n", talk.stream:readall())
    end)
    local path, stop = with_monitor()
    local _ <close> = stop
    local sock <close> = assert(curio.open_unix_connection(path))
    assert(sock:sendall "hello\nps\nps")
    assert(sock:shutdown "wr")
    local text = {}
    for chunk in sock:chunks() do
      text[#text + 1] = chunk
    end
    assert.matches("is not a command.*Task.*curio > $", table.concat(text))
  end)

  it("ends with the kernel's run, and leaves no file behind", function()
    local path = with_monitor()
    assert.equal("socket\n", helper.output_of("stat -c %F " .. helper.quote(path)))
    local talk <close> = connect(path)
    monitor.close(kernel())
    assert.is_nil(talk.stream:read(1))
    assert.is_nil(io.open(path))
    local sock, err = curio.open_unix_connection(path)
    assert.is_nil(sock)
    assert.equal("ENOENT", err.code)
  end)

  -- ---- who may connect ----

  it("is the owner's alone", function()
    local path, stop = with_monitor()
    local _ <close> = stop
    assert.equal("600\n", helper.output_of("stat -c %a " .. helper.quote(path)))
    local place = core.monitor.directory()
    assert.equal("700\n", helper.output_of("stat -c %a " .. helper.quote(place)))
  end)

  it("listens on loopback when asked to, and nowhere else", function()
    monitor.open(kernel(), "127.0.0.1:0")
    monitor.close(kernel())
    for _, address in ipairs { "0.0.0.0:0", "10.0.0.1:1", "[::]:0", "example.org:80" } do
      assert.error_matches(function()
        monitor.open(kernel(), address)
      end, "is not of loopback")
    end
  end)

  it("refuses an address that it cannot have", function()
    local err = helper.raises(curio.OSError, monitor.open, kernel(), "/nonexistent/monitor")
    assert.equal("ENOENT", err.code)
    local path, stop = with_monitor()
    local _ <close> = stop
    assert.equal("EADDRINUSE", select(2, core.monitor.open(core.kernel {}, path)).code)
    assert.error_matches(function()
      monitor.close(kernel())
      monitor.open(kernel(), 5)
    end, "an address is a path or host:port, got number")
  end)

  it("takes the place of a monitor that was killed", function()
    local path = directory .. "/left"
    local left = assert(sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM))
    assert(left:bind(path))
    left:close()
    monitor.open(kernel(), path)
    connect(path).stream:close()
    monitor.close(kernel())
  end)

  it("leaves a file alone that is no socket", function()
    local path = directory .. "/precious"
    helper.write(path, "kept")
    local err = helper.raises(curio.OSError, monitor.open, kernel(), path)
    assert.equal("EADDRINUSE", err.code)
    assert.equal("kept", helper.read(path))
  end)

  it("has no socket without an owner, and no port that there is not", function()
    for _, address in ipairs { "", "\0curio", "a\0b", "127.0.0.1:65536" } do
      assert.error_matches(function()
        monitor.open(kernel(), address)
      end, "^monitor: ")
    end
  end)

  it("lets no name of a task steer the terminal", function()
    talking(function(talk)
      local task = curio.spawn { curio.sleep, 1000, name = "one\ntwo\27[31m" }
      for _, command in ipairs { "ps", "tree", "parents " .. task.id } do
        assert.matches("one\\10two\\27%[31m\n", talk:ask(command))
      end
      assert.not_matches("\27", talk:ask("where " .. task.id))
      task:cancel()
    end)
  end)

  -- ---- hostile peers ----

  it("leaves a peer whose line has no end", function()
    talking(function(talk)
      talk.stream:write(("x"):rep(100000))
      assert.matches("the line is too long", talk.stream:readall() or "the line is too long")
    end)
  end)

  it("survives garbage", function()
    local path, stop = with_monitor()
    local _ <close> = stop
    for seed = 1, 20 do
      local bytes = {}
      for i = 1, 200 do
        bytes[i] = string.char((seed * 7919 + i * 104729) % 256)
      end
      local talk <close> = connect(path)
      talk.stream:write(table.concat(bytes), "\n\0\n\255\n")
    end
    local talk <close> = connect(path)
    assert.matches("Task", talk:ask "ps")
  end)

  it("serves others while one sends byte by byte and one never reads", function()
    local path, stop = with_monitor()
    local _ <close> = stop
    local slow <close> = connect(path)
    local deaf = assert(curio.open_unix_connection(path))
    local _ <close> = deaf
    deaf:setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 2048)
    curio.ignore_after(0.2, function()
      deaf:sendall(("help\n"):rep(20000))
    end)
    slow.stream:write "p"
    local talk <close> = connect(path)
    assert.matches("Task", talk:ask "ps")
    slow.stream:write "s"
    assert.matches("Task", talk:ask "ps")
    slow.stream:write "\n"
    assert.matches("Task", slow:answer())
  end)

  it("serves a new connection when many are open and silent", function()
    local path, stop = with_monitor()
    local _ <close> = stop
    local open = {}
    for i = 1, 200 do
      open[i] = assert(curio.open_unix_connection(path))
    end
    local talk <close> = connect(path)
    assert.matches("Task", talk:ask "ps")
    for _, sock in ipairs(open) do
      sock:close()
    end
  end)
end)

describe("curio --attach", function()
  program.prepare(setup, teardown)

  -- What `curio --attach` shows of a script that runs with these options and settings.
  local function attached(options, target, commands)
    program.write("script.lua", [[
      local curio = require "curio"
      curio.spawn { curio.sleep, 60, name = "a daemon", daemon = true }
      print(require "curio.core".monitor.pid())
      io.stdout:flush()
      curio.sleep(60)
    ]])
    return program.shell(([[
      export XDG_RUNTIME_DIR=$PWD
      rm -f pid
      %s script.lua >pid &
      until [ -s pid ]; do sleep 0.05; done
      printf '%s' | $curio --attach %s
      kill $!
      wait $! 2>/dev/null
      true
    ]]):format(options, commands, target))
  end

  it("removes what monitors of killed processes have left, and nothing else", function()
    program.write("script.lua", "print 'here' io.stdout:flush() require('curio').sleep(60)")
    program.prints("1 left\n1 left\nfile\nprecious\n", program.shell [[
      export XDG_RUNTIME_DIR=$PWD/runtime
      mkdir runtime
      for i in 1 2; do
        rm -f up
        $curio --monitor script.lua >up &
        until [ -s up ]; do sleep 0.05; done
        kill -9 $!
        wait $! 2>/dev/null
        echo $(ls runtime/curio | wc -l) left
      done
      echo file >runtime/curio/$!-2.sock
      echo precious >runtime/curio/$!.socket
      $curio --monitor -e 'io.write ""'
      cat runtime/curio/*]])
  end)

  -- A script that spins in a task, and what the monitor says of it.
  local function spinning(body, commands)
    program.write("script.lua", [[
      local curio = require "curio"
      local function spin()
        ]] .. body .. [[

      end
      print "here"
      io.stdout:flush()
      local task = curio.spawn { spin, name = "spinner" }
      task:wait()
      print("ended by", task.exception)
    ]])
    return program.shell(([[
      rm -f out
      $curio --monitor=$PWD/spin script.lua >out &
      until [ -s out ]; do sleep 0.05; done
      printf '%s' | $curio --attach $PWD/spin
      wait $!
      cat out
    ]]):format(commands))
  end

  it("names the line of a task that spins, and cancels it", function()
    local status, out, err = spinning(helper.SPIN,
      "ps\\nwhere 2\\ncancel 2\\nquit\\n")
    assert.equal("", err)
    assert.equal(0, status)
    assert.matches("2 +RUNNING .-script.lua:3 +spinner\n", out)
    assert.matches("Task%(id=2, name=spinner, state=RUNNING%) at script.lua:3\n\tscript.lua:3: in ",
      out)
    assert.matches("ended by\tTaskCancelled: cancelled: monitor\n", out)
  end)

  it("runs the clean-up of a task that it cancels while it spins", function()
    local _, out = spinning([[
      local _ <close> = setmetatable({}, { __close = function()
        curio.disable_cancellation(curio.sleep, 0.01)
        print "cleaned up"
      end })
      while true do pcall(function() end) end]], "cancel 2\\nquit\\n")
    assert.matches("cleaned up\nended by\tTaskCancelled", out)
  end)

  it("does not disturb a task that it only looks at", function()
    local _, out = spinning([[
      for i = 1, 3e7 do
        local _ = i * i
      end
      print "undisturbed"]], ("ps\\nwhere 2\\n"):rep(3) .. "quit\\n")
    assert.matches("undisturbed\nended by\tnil", out)
  end)

  it("talks to the monitor of a process", function()
    for options, target in pairs {
      ["$curio --monitor"] = "$(cat pid)",
      ["$curio --monitor=$PWD/here"] = "$PWD/here",
      ["CURIOMONITOR=1 $curio"] = "$(cat pid)",
      ["CURIOMONITOR=$PWD/there $curio"] = "$PWD/there",
    } do
      local status, out, err = attached(options, target, "ps\\nquit\\n")
      assert.equal("", err)
      assert.equal(0, status)
      assert.matches("curio monitor of process %d+.*TIME_SLEEP.*a daemon\n.*bye\n$", out)
    end
  end)

  it("ends where the commands do", function()
    local status, out = attached("$curio --monitor", "$(cat pid)", "ps\\nhelp\\n")
    assert.equal(0, status)
    assert.matches("TIME_SLEEP.*quit .*curio > $", out)
  end)

  it("succeeds when the talk has ended", function()
    program.prints("0\n", program.shell [[
      $curio --monitor=$PWD/talk -e 'require "curio".sleep(100)' &
      until [ -S talk ]; do sleep 0.05; done
      echo quit | $curio --attach $PWD/talk >/dev/null
      echo $?
      kill -KILL $!]])
  end)

  it("says when there is nobody", function()
    program.fails("/nonexistent/x: .*ENOENT", program.curio "--attach /nonexistent/x")
    program.fails("'%-%-attach' needs a value", program.curio "--attach")
    program.fails("listen /nonexistent/x: .*ENOENT",
      program.curio "--monitor=/nonexistent/x -e 'print(1)'")
  end)
end)
