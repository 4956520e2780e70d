// The echo server of bench/ in Node, for comparison: net, no per-message work of its own.
// Prints "listening HOST PORT".
const net = require("net");

const server = net.createServer({ noDelay: true }, (socket) => {
  socket.on("data", (data) => socket.write(data));
  socket.on("error", () => socket.destroy());
});

server.listen({ host: "127.0.0.1", port: 0, backlog: 1024 }, () => {
  const { address, port } = server.address();
  console.log(`listening ${address} ${port}`);
});
