std = "lua54"
max_line_length = 100
files["spec"].std = "lua54+busted"
files["*.rockspec"].std = "lua54+rockspec"
files["types"].ignore = { "211", "212", "241" } -- what is defined there is used elsewhere
