// The echo server of bench/ in Go, for comparison: a goroutine a connection, all on one core, as the
// others are. Prints "listening HOST PORT". bench/peers.lua builds it.
package main

import (
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

func main() {
	runtime.GOMAXPROCS(1)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	addr := listener.Addr().(*net.TCPAddr)
	fmt.Println("listening", addr.IP, addr.Port)
	for {
		client, err := listener.Accept()
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		go echo(client)
	}
}
