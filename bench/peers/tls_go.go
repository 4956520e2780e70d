// The TLS echo server of bench/ in Go, for comparison: crypto/tls, a goroutine a connection, all on
// one core. Wants a certificate and its key; prints "listening HOST PORT".
package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"runtime"
)

func echo(client net.Conn) {
	defer client.Close()
	buf := make([]byte, 100000)
	for {
		n, err := client.Read(buf)
		if n > 0 {
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func fail(err error) {
	fmt.Println(err)
	os.Exit(1)
}

func main() {
	runtime.GOMAXPROCS(1)
	pair, err := tls.LoadX509KeyPair(os.Args[1], os.Args[2])
	if err != nil {
		fail(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		fail(err)
	}
	addr := listener.Addr().(*net.TCPAddr)
	fmt.Println("listening", addr.IP, addr.Port)
	for {
		client, err := listener.Accept()
		if err != nil {
			fail(err)
		}
		go echo(client)
	}
}
