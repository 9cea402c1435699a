// Times CIRCL's CP-ABE (abe/cpabe/tkn20: Tomida, Kawahara, Nishimaki, PKC 2020, BLS12-381, made CCA secure) for the policies that
// `salus bench abpre` measures, and prints one JSON object a line: the best of several runs, in milliseconds.
//
//	tkn20 SECONDS NAME POLICY ATTRIBUTES [NAME POLICY ATTRIBUTES ..]
//
// POLICY is in CIRCL's language, ATTRIBUTES is name:value pairs joined by commas. Each measurement takes about SECONDS.
package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/cloudflare/circl/abe/cpabe/tkn20"
)

type line struct {
	Name            string  `json:"name"`
	KeyGenMs        float64 `json:"key_gen_ms"`
	EncryptMs       float64 `json:"encrypt_ms"`
	DecryptMs       float64 `json:"decrypt_ms"`
	CiphertextBytes int     `json:"ciphertext_bytes"`
}

// best runs the operation for about the given time, twice at least, and returns its shortest run in milliseconds.
func best(seconds float64, operation func() error) (float64, error) {
	shortest := time.Duration(1 << 62)
	end := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	for run := 0; run < 2 || time.Now().Before(end); run++ {
		start := time.Now()
		if err := operation(); err != nil {
			return 0, err
		}
		if took := time.Since(start); took < shortest {
			shortest = took
		}
	}
	return float64(shortest.Nanoseconds()) / 1e6, nil
}

func measure(seconds float64, name, policyText, attributeText string) (line, error) {
	result := line{Name: name}
	public, secret, err := tkn20.Setup(rand.Reader)
	if err != nil {
		return result, err
	}
	policy := tkn20.Policy{}
	if err := policy.FromString(policyText); err != nil {
		return result, err
	}
	values := map[string]string{}
	for _, pair := range strings.Split(attributeText, ",") {
		name, value, _ := strings.Cut(pair, ":")
		values[name] = value
	}
	attributes := tkn20.Attributes{}
	attributes.FromMap(values)

	var key tkn20.AttributeKey
	if result.KeyGenMs, err = best(seconds, func() (err error) {
		key, err = secret.KeyGen(rand.Reader, attributes)
		return err
	}); err != nil {
		return result, err
	}
	message := make([]byte, 32)
	var ciphertext []byte
	if result.EncryptMs, err = best(seconds, func() (err error) {
		ciphertext, err = public.Encrypt(rand.Reader, policy, message)
		return err
	}); err != nil {
		return result, err
	}
	result.CiphertextBytes = len(ciphertext)
	result.DecryptMs, err = best(seconds, func() error {
		opened, err := key.Decrypt(ciphertext)
		if err == nil && string(opened) != string(message) {
			err = fmt.Errorf("%s: decrypted to something else", name)
		}
		return err
	})
	return result, err
}

func run(arguments []string) error {
	if len(arguments) < 4 || len(arguments)%3 != 1 {
		return fmt.Errorf("usage: tkn20 SECONDS NAME POLICY ATTRIBUTES [..]")
	}
	seconds, err := strconv.ParseFloat(arguments[0], 64)
	if err != nil {
		return err
	}
	// One core, like everything that it is compared with.
	runtime.GOMAXPROCS(1)
	out := json.NewEncoder(os.Stdout)
	for i := 1; i < len(arguments); i += 3 {
		result, err := measure(seconds, arguments[i], arguments[i+1], arguments[i+2])
		if err != nil {
			return err
		}
		if err := out.Encode(result); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
