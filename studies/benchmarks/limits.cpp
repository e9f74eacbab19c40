// What this processor can do at best: the adds of a synaptic event, and the update of a neuron.
//
// Prints two numbers in nanoseconds: for one event, a 16-bit weight added to a 32-bit sum that
// stays in a register, with kernel and list of spikes in the first cache; and for one neuron and
// step, the plain integrate-and-fire update in one pass over arrays in the second cache.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

constexpr int TRIES = 500;  // short ones, of which the fastest counts: it was not interrupted

// Seconds of the fastest of several calls.
template <class Work>
double fastest(Work work) {
    double least = 1e9;
    for (int i = 0; i < TRIES; i++) {
        const auto start = std::chrono::steady_clock::now();
        work();
        const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
        least = std::min(least, taken.count());
    }
    return least;
}

#if defined(__AVX512F__)
#include <immintrin.h>
typedef __m512i Sums;
inline void add(Sums &sums, const int16_t *weights) {
    const __m256i some = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(weights));
    sums = _mm512_add_epi32(sums, _mm512_cvtepi16_epi32(some));
}
#else
typedef int32_t Sums __attribute__((vector_size(32)));  // split in two where there is no AVX2
typedef int16_t Weights __attribute__((vector_size(16)));
inline void add(Sums &sums, const int16_t *weights) {
    Weights some;
    std::memcpy(&some, weights, sizeof some);
    sums += __builtin_convertvector(some, Sums);
}
#endif

double event_ns() {
    constexpr int CHANNELS = 64, ROWS = 128, SPIKES = 2048, REPEATS = 50;
    constexpr int LANES = sizeof(Sums) / sizeof(int32_t), VECTORS = CHANNELS / LANES;
    std::vector<int16_t> kernel(ROWS * CHANNELS);
    std::vector<uint16_t> spikes(SPIKES);
    uint32_t random = 1;
    for (auto &weight : kernel) weight = int16_t((random = random * 1664525u + 1013904223u) >> 20);
    for (auto &spike : spikes) spike = (random = random * 1664525u + 1013904223u) >> 25;
    Sums out[VECTORS] = {};
    const double seconds = fastest([&] {
        for (int repeat = 0; repeat < REPEATS; repeat++) {
            Sums sums[VECTORS] = {};
            for (int s = 0; s < SPIKES; s++) {
                const int16_t *row = kernel.data() + spikes[s] * CHANNELS;
                for (int k = 0; k < VECTORS; k++) add(sums[k], row + LANES * k);
            }
            for (int k = 0; k < VECTORS; k++) out[k] = sums[k];
            asm volatile("" : : "r"(out) : "memory");  // every repeat is computed
        }
    });
    return 1e9 * seconds / (double(REPEATS) * SPIKES * CHANNELS);
}

double update_ns() {
    constexpr int NEURONS = 15000, REPEATS = 50;  // 21 bytes each
    std::vector<double> potential(NEURONS, 0.0), bias(NEURONS, 0.01);
    std::vector<float> drive(NEURONS, 0.0f);
    std::vector<int8_t> fires(NEURONS);
    const double seconds = fastest([&] {
        double *__restrict__ v = potential.data();
        const double *__restrict__ b = bias.data();
        float *__restrict__ d = drive.data();
        int8_t *__restrict__ f = fires.data();
        for (int repeat = 0; repeat < REPEATS; repeat++) {
            for (int i = 0; i < NEURONS; i++) {
                const double next = v[i] + double(d[i]) + b[i];
                const bool is_spike = next >= 1.0;
                f[i] = is_spike;
                v[i] = is_spike ? next - 1.0 : next;
                d[i] = 0.0f;
            }
            asm volatile("" : : "r"(v), "r"(f) : "memory");
        }
    });
    return 1e9 * seconds / (double(REPEATS) * NEURONS);
}

int main() { std::printf("%.9g %.9g\n", event_ns(), update_ns()); }
