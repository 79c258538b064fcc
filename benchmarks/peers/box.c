/* What sealing for many costs in C: libsodium's box, precomputed for each peer, all nonces of a message drawn in one go.
 *
 *     box PEERS MESSAGES SIZE
 *
 * Prints one line of JSON: boxes made, and the seconds of processor that they took.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NONCE = crypto_box_NONCEBYTES, KEY = crypto_box_BEFORENMBYTES, MAC = crypto_box_MACBYTES };

int main(int argc, char **argv) {
    if (argc != 4 || sodium_init() < 0) {
        fputs("box PEERS MESSAGES SIZE\n", stderr);
        return 2;
    }
    size_t peers = strtoul(argv[1], NULL, 10), messages = strtoul(argv[2], NULL, 10), size = strtoul(argv[3], NULL, 10);
    unsigned char *keys = malloc(peers * KEY), *nonces = malloc(peers * NONCE);
    unsigned char *plain = malloc(size), *sealed = malloc(size + MAC), own[32], secret[32], peer[32], unused[32];
    memset(plain, 'x', size);
    crypto_box_keypair(own, secret);
    for (size_t i = 0; i < peers; i++) {
        crypto_box_keypair(peer, unused);
        if (crypto_box_beforenm(keys + i * KEY, peer, secret)) return 1;
    }
    clock_t began = clock();
    for (size_t n = 0; n < messages; n++) {
        randombytes_buf(nonces, peers * NONCE);
        for (size_t i = 0; i < peers; i++)
            if (crypto_box_easy_afternm(sealed, plain, size, nonces + i * NONCE, keys + i * KEY)) return 1;
    }
    printf("{\"boxes\":%zu,\"seconds\":%.6f}\n", peers * messages, (double)(clock() - began) / CLOCKS_PER_SEC);
    return 0;
}
