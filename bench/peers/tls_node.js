// The TLS echo server of bench/ in Node, for comparison. Wants a certificate and its key; prints
// "listening HOST PORT".
const fs = require("fs");
const tls = require("tls");

const options = {
  cert: fs.readFileSync(process.argv[2]),
  key: fs.readFileSync(process.argv[3]),
  noDelay: true,
};

const server = tls.createServer(options, (socket) => {
  socket.on("data", (data) => socket.write(data));
  socket.on("error", () => socket.destroy());
});
server.on("tlsClientError", () => {});

server.listen({ host: "127.0.0.1", port: 0, backlog: 1024 }, () => {
  const { address, port } = server.address();
  console.log(`listening ${address} ${port}`);
});
