// Starts a program COUNT times, WIDTH at a time, by Go's os/exec on all cores; prints rate=N,
// children a second. What bench/spawn.lua is compared with.
//
//	spawn_go COUNT WIDTH PROGRAM
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"
)

func main() {
	count, err1 := strconv.Atoi(os.Args[1])
	width, err2 := strconv.Atoi(os.Args[2])
	if err1 != nil || err2 != nil {
		fmt.Println("usage: spawn_go COUNT WIDTH PROGRAM")
		os.Exit(2)
	}
	turns := make(chan bool, count)
	for i := 0; i < count; i++ {
		turns <- true
	}
	close(turns)
	began := time.Now()
	var workers sync.WaitGroup
	for i := 0; i < width; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for range turns {
				if err := exec.Command(os.Args[3]).Run(); err != nil {
					fmt.Println(err)
					os.Exit(1)
				}
			}
		}()
	}
	workers.Wait()
	fmt.Printf("rate=%.1f\n", float64(count)/time.Since(began).Seconds())
}
