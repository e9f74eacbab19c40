// Spike delivery through shared kernels, the age of every neuron's image, and the travel of drive
// along the chains of neurons that stand for one unit.
//
// Neurons lie in blocks: one position of one layer in one copy. All spikes of a block are delivered
// at once, over each of its routes, as many steps later as the axons are long. One copy of every
// kernel serves all positions of a map and all images of a batch. The tables are laid out by
// layout.py; numpy_delivery.py holds the same functions in NumPy, and a test keeps the three
// code-generation targets equal. Included by C++ standalone and by Cython code.
#ifndef ANN2BRIAN_DELIVERY
#define ANN2BRIAN_DELIVERY
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace ann2brian {

enum Kind { CONVOLUTION, SPARSE, LATERAL, WINDOW };

// Columns of the route table; same order as Route in layout.py.
struct Route {
    int32_t kind, group, offset, block, units, positions, delays_start;
    int32_t height, width, channels;                    // source map
    int32_t pool_h, pool_w, pool_stride_h, pool_stride_w, pool_pad_h, pool_pad_w;
    int32_t pooled_h, pooled_w;
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int32_t groups, out_h, out_w, out_channels;
    int32_t kernel_start, columns_start, gain_start;
    int32_t array, target_offset, target_units;         // array: index into State::targets
    int32_t target_channels, first_channel;             // of the whole map, and where ours begin
    int32_t readout_row, first_phase;                   // row: -1 unless the read-out is the target
    int32_t is_binary, is_gathered;                     // where the kernel lies: see below
    int32_t tap, places_start;                          // room of a tap's output channels
    int32_t pending_start;                              // of inhibition: see waiting
};

// A kernel begins at kernel_start: of State::signs, a bit, if it is binary; of State::packed, if it
// is gathered but not binary; otherwise of State::weights.

// Columns of the layer table; same order as Layer in layout.py.
struct Layer {
    int32_t group, array, offset, units, positions, onset, pending_start;
};

// Columns of the table of groups; same order as Group in layout.py.
struct Group {
    int32_t size, first_word;
};

// Columns of the table of sizes; same order as Sizes in layout.py.
struct Sizes {
    int32_t groups, routes, layers, copies, pending, readout_rows, phase_steps, phases, period;
    int32_t every, steps, words, remembered;
};

// Weight: the type of the kernels, the narrowest that holds them exactly. Pointers in the order of
// TABLES in delivery.py, then of State in numpy_delivery.py.
template <class Weight>
struct State {
    const int32_t *sizes_table, *groups_table, *layers_table, *routes_table;
    const Weight *weights;
    const int32_t *packed;                              // whole multiples of a grid, of 16 bits
    const double *gains;
    const int32_t *signs;                               // 32 to a number, the lowest bit first
    const int32_t *columns;                             // of sparse routes: first weights, targets
    const int32_t *places;                              // of gathered routes: see gather;
                                                        // of windows: see reach_windows
    const int32_t *delays;                              // one a route and position; -1: not by block
    double *const *targets;                             // what spikes add to, one array a variable:
    float *const *singles;                              // in double or in single precision
    int32_t *const *ages;                               // one array a group of neurons
    int32_t *const *images;                             // the same; nullptr: neurons are not told
    int32_t *const *n_spikes, *const *n_before;         // the same: counts, now and at its onset
    int32_t *const *spikes;                             // the same: indices, and last their number
    char *const *fires;                                 // the same: one flag a neuron
    int32_t *remembered;                                // a row a step: one bit a neuron
    double *inhibition, *pending;                       // of the group of chains, if there is one
    double *arrivals, *events;                          // counts, one row a route, one entry a step
    const int32_t *n_images, *first_image;              // of each copy: how many, and the first
    void target(int32_t i, double *&found) const { found = targets[i]; }
    void target(int32_t i, float *&found) const { found = singles[i]; }
    const int16_t *gathered() const { return reinterpret_cast<const int16_t *>(packed); }
    const Sizes &sizes() const { return *reinterpret_cast<const Sizes *>(sizes_table); }
    const Group &group(int32_t i) const { return reinterpret_cast<const Group *>(groups_table)[i]; }
    const Layer &layer(int32_t i) const { return reinterpret_cast<const Layer *>(layers_table)[i]; }
    const Route &route(int32_t i) const { return reinterpret_cast<const Route *>(routes_table)[i]; }
};

// a / b for a >= 0, without the division where the answer is plain.
inline int32_t quotient(int32_t a, int32_t b) {
    return a < b ? 0 : b == 1 ? a : b == 2 ? a >> 1 : a / b;
}

// Vectors, and the instructions for which the compiler has no good words of its own. They stand
// here as text, because the header that names them takes longer to compile than all else.
typedef int16_t Narrow8 __attribute__((vector_size(16), aligned(2), may_alias));
typedef int16_t Narrow16 __attribute__((vector_size(32), aligned(2), may_alias));
typedef int32_t Whole8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t Whole16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef char Bytes16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef char Flags64 __attribute__((vector_size(64), aligned(1), may_alias));

#if defined(__AVX512F__)
inline void add_to(Whole16 &sums, const Narrow16 &narrow) {
    Whole16 whole;
    asm("vpmovsxwd %1, %0" : "=v"(whole) : "v"(narrow));
    sums += whole;
}

// Those whose bit is set, without gaps.
inline Whole16 compressed(const Whole16 &from, uint16_t bits) {
    Whole16 found;
    asm("vpcompressd %1, %0%{%2%}%{z%}" : "=v"(found) : "v"(from), "Yk"(bits));
    return found;
}
#else
inline void add_to(Whole16 &sums, const Narrow16 &narrow) {
    sums += __builtin_convertvector(narrow, Whole16);
}
#endif

#if defined(__AVX2__)
inline void add_to(Whole8 &sums, const Narrow8 &narrow) {
    Whole8 whole;
    asm("vpmovsxwd %1, %0" : "=x"(whole) : "x"(narrow));
    sums += whole;
}
#else
inline void add_to(Whole8 &sums, const Narrow8 &narrow) {
    sums += __builtin_convertvector(narrow, Whole8);
}
#endif

// Indices of the bits that are set in a number of 64, each with `first` added, and up to 63 more
// numbers behind them; returns how many there are. Without branches that nobody can predict.
#if defined(__AVX512VBMI2__)
inline int32_t indices_of(uint64_t bits, int32_t first, int32_t *found) {
    const Flags64 all = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                         16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                         32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
                         48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    Flags64 those;                                      // one store for every 16 that are set
    asm("vpcompressb %1, %0%{%2%}%{z%}" : "=v"(those) : "v"(all), "Yk"(bits));
    const int32_t n = __builtin_popcountll(bits);
    for (int32_t k = 0; k < n; k += 16) {
        Whole16 index;
        asm("vpmovzxbd %1, %0" : "=v"(index) : "m"(reinterpret_cast<const Bytes16 *>(&those)[k / 16]));
        *reinterpret_cast<Whole16 *>(found + k) = index + first;
    }
    return n;
}
#elif defined(__AVX512F__)
inline int32_t indices_of(uint64_t bits, int32_t first, int32_t *found) {
    int32_t n = 0;
    Whole16 index = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    index += first;
    for (int k = 0; k < 4; k++, bits >>= 16) {
        *reinterpret_cast<Whole16 *>(found + n) = compressed(index, uint16_t(bits));
        n += __builtin_popcount(uint32_t(bits & 0xffff));
        index += 16;
    }
    return n;
}
#else
inline int32_t indices_of(uint64_t bits, int32_t first, int32_t *found) {
    int32_t n = 0;
    for (; bits; bits &= bits - 1) found[n++] = first + __builtin_ctzll(bits);
    return n;
}
#endif
enum { SPARE = 64 };                                    // numbers behind a list of indices

// Numbers from 0 to n whose bit, from bit `start` on, is set; returns how many there are.
inline int32_t set_bits(const int32_t *bits, int64_t start, int32_t n, int32_t *found) {
    int32_t count = 0;
    const char *byte = reinterpret_cast<const char *>(bits) + (start >> 3);
    const int32_t shift = start & 7;                    // 56 bits are there in any case
    for (int32_t first = 0; first < n; first += 56, byte += 7) {
        uint64_t some;
        std::memcpy(&some, byte, 8);
        some = some >> shift & ((uint64_t(1) << 56) - 1);
        if (n - first < 56) some &= (uint64_t(1) << (n - first)) - 1;
        if (some) count += indices_of(some, first, found + count);
    }
    return count;
}

// How many of the bits [start, start + n) are set.
inline int32_t count_bits(const int32_t *bits, int64_t start, int32_t n) {
    int32_t count = 0;
    for (; n > 0; n -= 56, start += 56) {
        uint64_t some;
        std::memcpy(&some, reinterpret_cast<const char *>(bits) + (start >> 3), 8);
        some >>= start & 7;                             // 57 bits are there in any case
        if (n < 57) some &= (uint64_t(1) << n) - 1;
        else some &= (uint64_t(1) << 56) - 1;
        count += __builtin_popcountll(some);
    }
    return count;
}

// Add `n` weights of a kernel, from entry `at` on.
template <class Drive, class Weight>
inline void add(Drive *__restrict__ to, const Weight *__restrict__ kernel, int64_t at, double gain,
                int32_t n) {
    const Weight *from = kernel + at;
    for (int32_t i = 0; i < n; i++) to[i] += Drive(gain) * Drive(from[i]);
}

// The same for weights of one bit: +gain where it is set, -gain elsewhere.
struct Signs {
    const int32_t *packed;
    uint32_t from(int64_t at) const {                   // 32 bits from bit `at` on
        const uint64_t low = uint32_t(packed[at >> 5]), high = uint32_t(packed[(at >> 5) + 1]);
        return uint32_t((high << 32 | low) >> (at & 31));
    }
};

template <class Drive>
inline void add(Drive *__restrict__ to, Signs kernel, int64_t at, double factor, int32_t n) {
    const Drive gain = Drive(factor);
    for (; n >= 32; n -= 32, at += 32, to += 32) {
        const uint32_t bits = kernel.from(at);
        for (int32_t i = 0; i < 32; i++) to[i] += bits >> i & 1 ? gain : -gain;
    }
    const uint32_t bits = n > 0 ? kernel.from(at) : 0;
    for (int32_t i = 0; i < n; i++) to[i] += bits >> i & 1 ? gain : -gain;
}

// Place of a unit in a map, by multiplication: exact for maps of less than 2**24 places.
struct Places {
    int32_t channels;
    uint64_t factor;
    explicit Places(int32_t n) : channels(n), factor((uint64_t(1) << 40) / n + 1) {}
    int32_t of(int32_t unit) const { return int32_t(uint64_t(unit) * factor >> 40); }
};

// One position of one layer in one copy, and where its spikes go.
struct Block {
    int32_t position, copy;
    double gain;
    int64_t target;                                     // index of the copy's first target
};

template <class Weight>
inline Block block_of(const State<Weight> &s, const Route &r, int32_t position, int32_t copy) {
    int64_t at = r.target_offset + copy * int64_t(r.target_units);
    if (r.readout_row >= 0)
        at += ((position + r.readout_row) % s.sizes().readout_rows) * int64_t(s.sizes().copies)
              * r.target_units;
    return {position, copy, r.kind == LATERAL ? 0 : s.gains[r.gain_start + position], at};
}

// Where inhibition waits that the neurons at `position` of their units get in `step`, one number
// for each of the block. What waits was sent by neurons 2 to `position` places before, one a step,
// so that `position` - 1 rows are enough. `start` is that of the layer.
template <class Weight>
inline double *waiting(const State<Weight> &s, int64_t start, int64_t block, int32_t position,
                       int64_t step) {
    const int32_t n_rows = position - 1, n_before = n_rows * (n_rows - 1) / 2;
    return s.pending + start + (n_before + step % n_rows) * block;
}

// Inhibition (or excitation) of the later neurons of the same units; returns their number.
template <class Weight>
inline int64_t inhibit(const State<Weight> &s, const Route &r, const Block &b,
                       const int32_t *units, int32_t n, int64_t step) {
    const Weight *h = s.weights + r.kernel_start + b.position * r.positions;
    int64_t reached = 0;
    for (int32_t later = b.position + 1; later < r.positions; later++) {
        if (h[later] == 0) continue;
        const int32_t lag = later - b.position;
        double *target = lag == 1 ? s.inhibition + r.offset + later * int64_t(r.block)
                                  : waiting(s, r.pending_start, r.block, later, step + lag);
        target += b.copy * int64_t(r.units);
        for (int32_t i = 0; i < n; i++) target[units[i]] += h[later];
        reached += n;
    }
    return reached;
}

// Kernel rows of one source channel at the pooled position (py, px); returns targets reached.
// The channel's part of the kernel begins at entry `start`.
template <class Drive, class Kernel>
inline int32_t convolve(const Route &r, Drive *target, Kernel kernel, int64_t start, double gain,
                        int32_t py, int32_t px) {
    // Kernel of one source channel: rows, columns from last to first, output channels. For stride
    // 1 a kernel row then lies in memory like the stretch of target row that it is added to.
    const int32_t out_per_group = r.groups == 1 ? r.out_channels : r.out_channels / r.groups;
    const int32_t tap = r.tap, row_size = r.kernel_w * tap;
    const bool whole_rows = r.stride_w == 1 && r.dilation_w == 1 && tap == out_per_group
                            && r.out_channels == r.target_channels && r.groups == 1;
    const int32_t pixel = r.target_channels;
    int32_t reached = 0;
    // Row ky leads to an output row if down - ky * dilation is a multiple of the stride. Without
    // dilation that holds for one ky in each stride, with it every ky is tried.
    const int32_t down = py + r.pad_h, right = px + r.pad_w;
    if (down < 0 || right < 0) return 0;                // cut off from the map
    const bool packed_h = r.dilation_h == 1, packed_w = r.dilation_w == 1;
    for (int32_t ky = packed_h ? down - r.stride_h * quotient(down, r.stride_h) : 0;
         ky < r.kernel_h; ky += packed_h ? r.stride_h : 1) {
        const int32_t top = down - ky * r.dilation_h;
        if (top < 0) break;
        const int32_t oy = quotient(top, r.stride_h);
        if (oy >= r.out_h || oy * r.stride_h != top) continue;
        Drive *to = target + oy * r.out_w * pixel;
        const int64_t from = start + ky * row_size;
        if (whole_rows) {
            const int32_t left = right - r.kernel_w + 1;
            const int32_t first = left < 0 ? 0 : left;
            const int32_t last = right < r.out_w ? right : r.out_w - 1;
            const int32_t n = (last - first + 1) * out_per_group;
            if (n <= 0) continue;
            add(to + first * out_per_group, kernel, from + (first - left) * out_per_group, gain, n);
            reached += n;
            continue;
        }
        for (int32_t kx = packed_w ? right % r.stride_w : 0; kx < r.kernel_w;
             kx += packed_w ? r.stride_w : 1) {
            const int32_t left = right - kx * r.dilation_w;
            if (left < 0) break;
            const int32_t ox = quotient(left, r.stride_w);
            if (ox >= r.out_w || ox * r.stride_w != left) continue;
            add(to + ox * pixel, kernel, from + (r.kernel_w - 1 - kx) * tap, gain, out_per_group);
            reached += out_per_group;
        }
    }
    return reached;
}

// Weights of one source unit's own, each to its own target; returns their number.
template <class Drive, class Weight>
inline int32_t scatter(const State<Weight> &s, const Route &r, Drive *target, double gain,
                       int32_t unit) {
    const int32_t *first = s.columns + r.columns_start, *columns = first + r.units + 1;
    const Weight *weights = s.weights + r.kernel_start;
    for (int32_t i = first[unit]; i < first[unit + 1]; i++)
        target[columns[i]] += Drive(gain) * Drive(weights[i]);
    return first[unit + 1] - first[unit];
}

// Whether every unit of a map leads to the same unit of the target, as a shortcut does.
inline bool is_one_to_one(const Route &r) {
    return r.kind == CONVOLUTION && r.groups == r.channels && r.out_channels == r.channels
           && r.target_channels == r.channels && r.out_h == r.height && r.out_w == r.width
           && r.pool_h == 1 && r.pool_w == 1 && r.pooled_h == r.height && r.pooled_w == r.width
           && r.kernel_h == 1 && r.kernel_w == 1 && r.stride_h == 1 && r.stride_w == 1
           && r.pad_h == 0 && r.pad_w == 0 && !r.is_binary;
}

// Spikes of such a map; returns their number.
template <class Drive, class Weight>
__attribute__((noinline)) int64_t pass_on(const State<Weight> &s, const Route &r, const Block &b,
                                          const int32_t *units, int32_t n) {
    Drive *target;
    s.target(r.array, target);
    target += b.target;
    const Weight *weights = s.weights + r.kernel_start;
    const Places places(r.channels);
    for (int32_t i = 0; i < n; i++) {
        const int32_t channel = units[i] - places.of(units[i]) * r.channels;
        target[units[i]] += Drive(b.gain) * Drive(weights[channel]);
    }
    return n;
}

// The one variable of each pooling window that belongs to the place of the spike.
template <class Drive, class Weight>
inline int64_t reach_windows(const State<Weight> &s, const Route &r, const Block &b,
                             const int32_t *units, int32_t n) {
    const int32_t n_places = r.height * r.width, n_lists = s.places[r.places_start];
    const int32_t *entries = s.places + r.places_start + 1;  // window * places of one + place in it
    const Drive amount = Drive(b.gain * double(s.weights[r.kernel_start]));
    const Places places(r.channels), windows(r.pool_h * r.pool_w);
    int64_t reached = 0;
    for (int32_t list = 0; list < n_lists; list++, entries += n_places)
        for (int32_t i = 0; i < n; i++) {
            const int32_t place = places.of(units[i]), entry = entries[place];
            if (entry < 0) continue;
            const int32_t window = windows.of(entry), within = entry - window * windows.channels;
            Drive *target;
            s.target(r.array + within, target);
            target[b.target + units[i] + (window - place) * r.channels] += amount;
            reached++;
        }
    return reached;
}

// Targets of a spike in a map: through the pooling windows that hold it, then the kernel.
template <class Drive, class Weight>
inline int32_t spread(const State<Weight> &s, const Route &r, const Block &b, int32_t unit) {
    const int32_t place = unit / r.channels, channel = unit - place * r.channels;
    const int32_t y = quotient(place, r.width), x = place - y * r.width;
    const int32_t out_per_group = r.groups == 1 ? r.out_channels : r.out_channels / r.groups;
    const int32_t group = r.groups == 1 ? 0 : channel / (r.channels / r.groups);
    const int64_t start = r.kernel_start + channel * int64_t(r.kernel_h) * r.kernel_w * r.tap;
    int32_t reached = 0;
    // Pooled rows whose window holds y: window * stride - padding <= y < ... + size.
    int32_t first_py = y + r.pool_pad_h - r.pool_h + r.pool_stride_h;
    first_py = first_py < 0 ? 0 : quotient(first_py, r.pool_stride_h);
    int32_t first_px = x + r.pool_pad_w - r.pool_w + r.pool_stride_w;
    first_px = first_px < 0 ? 0 : quotient(first_px, r.pool_stride_w);
    for (int32_t py = first_py; py < r.pooled_h && py * r.pool_stride_h <= y + r.pool_pad_h; py++)
        for (int32_t px = first_px; px < r.pooled_w && px * r.pool_stride_w <= x + r.pool_pad_w; px++) {
            Drive *target;
            s.target(r.array, target);
            target += b.target + r.first_channel + group * out_per_group;
            if (r.is_binary)
                reached += convolve(r, target, Signs{s.signs}, start, b.gain, py, px);
            else if (r.is_gathered)
                reached += convolve(r, target, s.gathered(), start, b.gain, py, px);
            else
                reached += convolve(r, target, s.weights, start, b.gain, py, px);
        }
    return reached;
}

// Sums of packed kernels over all spikes of a block.
//
// Spikes are sorted by pooled place. A row of the kernel stays in the cache while it visits all rows
// of the map; the channels of one output pixel stay in registers while the spikes under the row are
// added. Sums are whole numbers; gain and grid step are applied once, when they reach the targets.
// Where numbers are stored in long loops, the route is a copy, which no store can change.

// As many channels as a register holds.
#if defined(__AVX2__) && !defined(__AVX512F__)
typedef Narrow8 Narrow;
typedef Whole8 Whole;
#else
typedef Narrow16 Narrow;
typedef Whole16 Whole;
#endif
enum { LANES = sizeof(Whole) / sizeof(int32_t) };
enum { MOST_EIGHTHS = LANES };                          // as many sums as fit the registers

// Spikes of a block, in the order of their pooled places.
struct Gathered {
    std::vector<int32_t> first;                         // spike of each place
    std::vector<int32_t> kernel;                        // start of each spike's, less its column
    std::vector<const uint8_t *> rows;                  // of signs: those of one target pixel
    std::vector<int32_t> sums;                          // one a target, all 0 between calls
    std::vector<char> touched;                          // rows of targets
};

// Sums of LANES * Full + 8 * Rest channels of one pixel over `n` spikes.
template <int Full, int Rest>
inline void sum_pixel(int32_t *sums, const int16_t *weights, const int32_t *kernel, int32_t n) {
    Whole full[Full + 1];
    Whole8 rest{};
    for (int v = 0; v < Full; v++) full[v] = reinterpret_cast<const Whole &>(sums[LANES * v]);
    if (Rest) rest = reinterpret_cast<const Whole8 &>(sums[LANES * Full]);
    for (int32_t i = 0; i < n; i++) {
        const int16_t *from = weights + kernel[i];
        for (int v = 0; v < Full; v++)
            add_to(full[v], reinterpret_cast<const Narrow &>(from[LANES * v]));
        if (Rest) add_to(rest, reinterpret_cast<const Narrow8 &>(from[LANES * Full]));
    }
    for (int v = 0; v < Full; v++) reinterpret_cast<Whole &>(sums[LANES * v]) = full[v];
    if (Rest) reinterpret_cast<Whole8 &>(sums[LANES * Full]) = rest;
}

// Channels [channel, channel + LANES * Full + 8 * Rest) of all pixels.
template <int Full, int Rest>
inline void sum_channels(const Route r, Gathered &g, const int16_t *weights, int32_t channel) {
    const int32_t tap = r.tap;
    for (int32_t ky = 0; ky < r.kernel_h; ky++)
        for (int32_t oy = 0; oy < r.out_h; oy++) {
            const int32_t py = oy * r.stride_h + ky - r.pad_h;
            if (py < 0 || py >= r.pooled_h) continue;
            const int32_t *first = g.first.data() + py * r.pooled_w;
            if (first[0] == first[r.pooled_w]) continue;
            g.touched[oy] = 1;
            int32_t *sums = g.sums.data() + int64_t(oy) * r.out_w * tap + channel;
            int32_t left = -r.pad_w;
            for (int32_t ox = 0; ox < r.out_w; ox++, left += r.stride_w, sums += tap) {
                const int32_t low = std::max(left, 0), high = std::min(left + r.kernel_w, r.pooled_w);
                if (low >= high) continue;
                const int32_t n = first[high] - first[low];
                const int64_t at = (ky * r.kernel_w + r.kernel_w - 1 + left) * int64_t(tap) + channel;
                if (n) sum_pixel<Full, Rest>(sums, weights + at, g.kernel.data() + first[low], n);
            }
        }
}

// The same for `eighths` times 8 channels, at most Eighths.
template <int Eighths>
struct SumChannels {
    static void run(const Route &r, Gathered &g, const int16_t *weights, int32_t channel,
                    int32_t eighths) {
        if (eighths == Eighths)
            sum_channels<8 * Eighths / LANES, 8 * Eighths % LANES / 8>(r, g, weights, channel);
        else
            SumChannels<Eighths - 1>::run(r, g, weights, channel, eighths);
    }
};

template <>
struct SumChannels<0> {
    static void run(const Route &, Gathered &, const int16_t *, int32_t, int32_t) {}
};

// Sums of a block's spikes over packed kernels.
inline void sum_packed(const Route &r, Gathered &g, const int16_t *weights) {
    for (int32_t channel = 0; channel < r.tap; channel += 8 * MOST_EIGHTHS)
        SumChannels<MOST_EIGHTHS>::run(r, g, weights, channel,
                                       std::min((r.tap - channel) / 8, int32_t(MOST_EIGHTHS)));
}

// Sums of signs: how many are +1 is counted for all channels at once, one bit of all counts in a
// register, by full adders of whole registers.

typedef uint64_t Bits2 __attribute__((vector_size(16)));
typedef uint64_t Bits4 __attribute__((vector_size(32)));
typedef uint64_t Bits8 __attribute__((vector_size(64)));
#if defined(__AVX512F__)
typedef Bits8 WidestBits;
#elif defined(__AVX2__)
typedef Bits4 WidestBits;
#else
typedef Bits2 WidestBits;
#endif

// a + b + c = sum + 2 * carry, for each bit.
template <class Bits>
inline void full_adder(Bits &sum, Bits &carry, const Bits &a, const Bits &b, const Bits &c) {
    const Bits differ = a ^ b, both = a & b;
    sum = differ ^ c;
    carry = both | (differ & c);
}

enum { AT_ONCE = 8, MOST_COUNTED = 31 * AT_ONCE };      // rows; counts fit 8 bits

// Of each bit, in how many of `n` rows it is set; n is a multiple of 8.
template <class Bits>
inline void count_ones(uint8_t *counts, const uint8_t *const *rows, int32_t n) {
    Bits ones{}, twos{}, fours{}, eights{}, upper[4] = {};
    for (int32_t i = 0; i < n; i += AT_ONCE) {
        Bits row[AT_ONCE];
        for (int k = 0; k < AT_ONCE; k++) std::memcpy(&row[k], rows[i + k], sizeof(Bits));
        Bits two[4], four[2], eight;
        full_adder(ones, two[0], ones, row[0], row[1]);
        full_adder(ones, two[1], ones, row[2], row[3]);
        full_adder(twos, four[0], twos, two[0], two[1]);
        full_adder(ones, two[2], ones, row[4], row[5]);
        full_adder(ones, two[3], ones, row[6], row[7]);
        full_adder(twos, four[1], twos, two[2], two[3]);
        full_adder(fours, eight, fours, four[0], four[1]);
        Bits carry = eights & eight;
        eights ^= eight;
        for (int k = 0; k < 4; k++) {
            const Bits more = upper[k] & carry;
            upper[k] ^= carry;
            carry = more;
        }
    }
    const Bits planes[8] = {ones, twos, fours, eights, upper[0], upper[1], upper[2], upper[3]};
    const uint8_t *bytes = reinterpret_cast<const uint8_t *>(planes);
    for (size_t i = 0; i < sizeof(Bits); i++) {
        // One bit of 8 counts in each byte; transposed, one count in each.
        uint64_t x = 0;
        for (int k = 0; k < 8; k++) x |= uint64_t(bytes[k * sizeof(Bits) + i]) << 8 * k;
        uint64_t moved = (x ^ x >> 7) & 0x00aa00aa00aa00aau;
        x ^= moved ^ moved << 7;
        moved = (x ^ x >> 14) & 0x0000cccc0000ccccu;
        x ^= moved ^ moved << 14;
        moved = (x ^ x >> 28) & 0x00000000f0f0f0f0u;
        x ^= moved ^ moved << 28;
        std::memcpy(counts + 8 * i, &x, 8);
    }
}

// Channels from `channel` on, as many as there are Bits, of all pixels.
template <class Bits>
inline void sum_bits(const Route &r, Gathered &g, const uint8_t *signs, int32_t channel) {
    static const uint8_t none[sizeof(Bits)] = {};
    const int64_t tap = r.tap / 8;
    const int32_t n_channels = std::min(r.tap - channel, int32_t(8 * sizeof(Bits)));
    uint8_t counts[8 * sizeof(Bits)];
    const uint8_t **rows = g.rows.data();
    for (int32_t oy = 0; oy < r.out_h; oy++)
        for (int32_t ox = 0; ox < r.out_w; ox++) {
            const int32_t left = ox * r.stride_w - r.pad_w;
            const int32_t low = std::max(left, 0), high = std::min(left + r.kernel_w, r.pooled_w);
            if (low >= high) continue;
            int32_t n = 0;
            for (int32_t ky = 0; ky < r.kernel_h; ky++) {
                const int32_t py = oy * r.stride_h + ky - r.pad_h;
                if (py < 0 || py >= r.pooled_h) continue;
                const int32_t *first = g.first.data() + py * r.pooled_w;
                const int32_t column = ky * r.kernel_w + r.kernel_w - 1 + left;
                const uint8_t *at = signs + column * tap + channel / 8;
                for (int32_t i = first[low]; i < first[high]; i++) rows[n++] = at + g.kernel[i];
            }
            if (n == 0) continue;
            g.touched[oy] = 1;
            int32_t *__restrict__ to =
                g.sums.data() + (oy * r.out_w + ox) * int64_t(r.tap) + channel;
            for (int32_t k = n; k % AT_ONCE; k++) rows[k] = none;
            for (int32_t i = 0; i < n; i += MOST_COUNTED) {
                const int32_t some = std::min(n - i, int32_t(MOST_COUNTED));
                count_ones<Bits>(counts, rows + i, (some + AT_ONCE - 1) / AT_ONCE * AT_ONCE);
                for (int32_t k = 0; k < n_channels; k++) to[k] += 2 * counts[k] - some;
            }
        }
}

// Sums of a block's spikes over signs.
inline void sum_signs(const Route &r, Gathered &g, const uint8_t *signs) {
    int32_t channel = 0;
    while (channel < r.tap) {
        const int32_t left = r.tap - channel;
        if (left <= 128 || sizeof(WidestBits) == 16) {
            sum_bits<Bits2>(r, g, signs, channel);
            channel += 128;
        } else if (left <= 256 || sizeof(WidestBits) == 32) {
            sum_bits<Bits4>(r, g, signs, channel);
            channel += 256;
        } else {
            sum_bits<Bits8>(r, g, signs, channel);
            channel += 512;
        }
    }
}

// The sums of a block's spikes go to the targets and are 0 again.
template <class Drive>
inline void write_sums(const Route r, Gathered &g, Drive *target, Drive gain) {
    for (int32_t oy = 0; oy < r.out_h; oy++) {
        if (!g.touched[oy]) continue;
        int32_t *row = g.sums.data() + int64_t(oy) * r.out_w * r.tap;
        Drive *__restrict__ to = target + int64_t(oy) * r.out_w * r.target_channels;
        const int32_t *__restrict__ from = row;
        for (int32_t ox = 0; ox < r.out_w; ox++, from += r.tap, to += r.target_channels)
            for (int32_t k = 0; k < r.out_channels; k++) to[k] += gain * Drive(from[k]);
        std::memset(row, 0, sizeof(int32_t) * r.out_w * r.tap);
    }
}

enum { MANY = 6 };                                      // spikes a place: one loop for each place

// Sort a block's spikes by their pooled places; returns the number of targets.
inline int64_t sort_spikes(const Route r, Gathered &g, const int32_t *pooled, const int32_t *bits,
                           int64_t start, const int32_t *units, int32_t n) {
    const int32_t n_places = r.height * r.width, n_pooled = r.pooled_h * r.pooled_w;
    const uint32_t tap = r.is_binary ? r.tap / 8 : r.tap;
    const int32_t *columns = pooled + n_places, *fan_out = columns + n_places;
    if (int32_t(g.kernel.size()) < n) g.kernel.resize(n);
    if (r.is_binary && int32_t(g.rows.size()) < n + AT_ONCE) g.rows.resize(n + AT_ONCE);
    g.first.assign(n_pooled + 2, 0);
    for (int32_t place = 0; place < n_places; place++)  // [1]: out of all windows
        g.first[pooled[place] + 2] += count_bits(bits, start + place * r.channels, r.channels);
    g.first[1] = 0;
    int64_t reached = 0;
    for (int32_t q = 0; q < n_pooled; q++) {
        reached += int64_t(g.first[q + 2]) * fan_out[q];
        g.first[q + 2] += g.first[q + 1];
    }
    const uint32_t kernel_size = r.kernel_h * r.kernel_w * tap;  // products may wrap on their way
    if (n > MANY * n_places) {
        for (int32_t place = 0; place < n_places; place++) {
            const int32_t count = count_bits(bits, start + place * r.channels, r.channels);
            const int32_t *from = units;
            units += count;
            if (pooled[place] < 0) continue;
            int32_t &next = g.first[pooled[place] + 1];
            int32_t *__restrict__ to = g.kernel.data() + next;
            const uint32_t shift = uint32_t(place * r.channels) * kernel_size + columns[place] * tap;
            for (int32_t i = 0; i < count; i++) to[i] = int32_t(from[i] * kernel_size - shift);
            next += count;
        }
    } else {
        const Places places(r.channels);
        for (int32_t i = 0; i < n; i++) {
            const int32_t place = places.of(units[i]), channel = units[i] - place * r.channels;
            if (pooled[place] >= 0)
                g.kernel[g.first[pooled[place] + 1]++] = channel * kernel_size - columns[place] * tap;
        }
    }
    return reached;
}

// All spikes of a block arrive over a route; returns the number of targets.
template <class Drive, class Weight>
inline int64_t gather(const State<Weight> &s, const Route &r, const Block &b, const int32_t *bits,
                      int64_t start, const int32_t *units, int32_t n) {
    static Gathered g;
    const int64_t reached = sort_spikes(r, g, s.places + r.places_start, bits, start, units, n);
    const size_t n_sums = size_t(r.out_h) * r.out_w * r.tap;
    if (g.sums.size() < n_sums) g.sums.assign(n_sums, 0);
    g.touched.assign(r.out_h, 0);
    if (r.is_binary)
        sum_signs(r, g, reinterpret_cast<const uint8_t *>(s.signs) + r.kernel_start / 8);
    else
        sum_packed(r, g, s.gathered() + r.kernel_start);
    Drive *target;
    s.target(r.array, target);
    write_sums(r, g, target + b.target + r.first_channel, Drive(b.gain));
    return reached;
}

// Spikes of some units of a block arrive over a route; returns the number of targets.
template <class Drive, class Weight>
inline int64_t arrive(const State<Weight> &s, const Route &r, const Block &b, const int32_t *units,
                      int32_t n, int64_t step) {
    int64_t reached = 0;
    if (r.kind == LATERAL) {
        reached = inhibit(s, r, b, units, n, step);
    } else if (r.kind == SPARSE) {
        Drive *target;
        s.target(r.array, target);
        for (int32_t i = 0; i < n; i++) reached += scatter(s, r, target + b.target, b.gain, units[i]);
    } else if (r.kind == WINDOW) {
        reached = reach_windows<Drive>(s, r, b, units, n);
    } else if (is_one_to_one(r)) {
        reached = pass_on<Drive>(s, r, b, units, n);
    } else {
        for (int32_t i = 0; i < n; i++) reached += spread<Drive>(s, r, b, units[i]);
    }
    return reached;
}

// Count spikes that arrived over a route, and targets that they reached.
template <class Weight>
inline void count(const State<Weight> &s, int32_t route, int64_t step, int64_t n, int64_t reached) {
    const Sizes &size = s.sizes();
    const Route &r = s.route(route);
    const int32_t since = std::max(quotient(int32_t(step), size.phase_steps) - r.first_phase, 0);
    const int32_t within = since - size.period * quotient(since, size.period);
    const int32_t at = std::min(quotient(within, size.every), size.steps - 1);
    s.arrivals[route * size.steps + at] += n;
    s.events[route * size.steps + at] += reached;
}

// All spikes that arrive in a step over a route at the end of axons of blocks; returns their number.
template <class Drive, class Weight>
inline int64_t deliver_over(const State<Weight> &s, int32_t number, int64_t step) {
    static std::vector<int32_t> units;
    const Sizes &size = s.sizes();
    const Route &r = s.route(number);
    if (int32_t(units.size()) < r.units + SPARE) units.resize(r.units + SPARE);
    int64_t arrived = 0, reached = 0;
    for (int32_t position = 0; position < r.positions; position++) {
        const int32_t delay = s.delays[r.delays_start + position];
        if (delay < 0 || delay > step) continue;
        const int32_t *then = s.remembered + ((step - delay) % size.remembered) * size.words
                              + s.group(r.group).first_word;
        for (int32_t copy = 0; copy < size.copies; copy++) {
            const int64_t start = r.offset + position * int64_t(r.block) + copy * r.units;
            const int32_t n = set_bits(then, start, r.units, units.data());
            if (n == 0) continue;
            const Block b = block_of(s, r, position, copy);
            arrived += n;
            reached += r.is_gathered ? gather<Drive>(s, r, b, then, start, units.data(), n)
                                         : arrive<Drive>(s, r, b, units.data(), n, step);
        }
    }
    if (arrived) count(s, number, step, arrived, reached);
    return arrived;
}

template <class Weight>
inline bool adds_to_single(const State<Weight> &s, const Route &r) {
    return r.kind != LATERAL && s.singles[r.array] != nullptr;
}

// The same over all routes.
template <class Weight>
inline int32_t deliver(const State<Weight> &s, int64_t step) {
    int64_t delivered = 0;
    for (int32_t number = 0; number < s.sizes().routes; number++)
        delivered += adds_to_single(s, s.route(number)) ? deliver_over<float>(s, number, step)
                                                        : deliver_over<double>(s, number, step);
    return int32_t(delivered);
}

// A spike of `neuron` arrives over `route` by an axon of its own; returns the number of targets.
template <class Weight>
inline int32_t deliver_spike(const State<Weight> &s, int32_t neuron, int32_t route, int64_t step) {
    const Route &r = s.route(route);
    const int32_t within = neuron - r.offset;
    const int32_t position = within / r.block, rest = within - position * r.block;
    const int32_t copy = rest / r.units, unit = rest - copy * r.units;
    const Block b = block_of(s, r, position, copy);
    const int64_t reached = adds_to_single(s, r) ? arrive<float>(s, r, b, &unit, 1, step)
                                                 : arrive<double>(s, r, b, &unit, 1, step);
    count(s, route, step, 1, reached);
    return int32_t(reached);
}

// 64 flags of a byte, 0 or 1, as bits.
inline uint64_t bits_of(const char *flags) {
#if defined(__AVX512BW__)
    const Flags64 ones = Flags64{} + char(1);
    uint64_t bits;
    asm("vptestmb %1, %2, %0" : "=Yk"(bits) : "m"(reinterpret_cast<const Flags64 &>(*flags)), "v"(ones));
    return bits;
#else
    uint64_t bits = 0;
    for (int k = 0; k < 8; k++) {
        uint64_t eight;
        std::memcpy(&eight, flags + 8 * k, 8);
        bits |= (eight * 0x0102040810204080u >> 56) << 8 * k;
    }
    return bits;
#endif
}

// From one flag a neuron to the lists of the neurons that spike, and a bit each that is remembered;
// returns how many there are.
template <class Weight>
inline int32_t find_spikes(const State<Weight> &s, int64_t step) {
    const Sizes &size = s.sizes();
    int32_t *row = s.remembered + (step % size.remembered) * size.words, found = 0;
    for (int32_t i = 0; i < size.groups; i++) {
        const Group group = s.group(i);                 // a copy: no store below may change it
        const char *flags = s.fires[i];
        int32_t *spikes = s.spikes[i], *words = row + group.first_word, n = 0;
        // Bits first, lists then: faster than both in one loop.
        for (int32_t from = 0; from < group.size; from += 64) {
            uint64_t bits = 0;
            if (from + 64 <= group.size)
                bits = bits_of(flags + from);
            else
                for (int32_t k = 0; from + k < group.size; k++)
                    bits |= uint64_t(flags[from + k]) << k;
            std::memcpy(words + (from >> 5), &bits, sizeof bits);
        }
        for (int32_t from = 0; from < group.size; from += 64) {
            uint64_t bits;
            std::memcpy(&bits, words + (from >> 5), sizeof bits);
            // The list has no room behind its end.
            if (from + 64 + SPARE <= group.size)
                n += indices_of(bits, from, spikes + n);
            else
                for (; bits; bits &= bits - 1) spikes[n++] = from + __builtin_ctzll(bits);
        }
        spikes[group.size] = n;
        found += n;
    }
    return found;
}

// At the start of `phase`: how many phases ago the present image reached each neuron of a copy,
// or -1 for none. Returns the most spikes that a neuron of the copy fired for an image before the
// present one, where `most` is what was returned last.
template <class Weight>
inline int32_t set_ages(const State<Weight> &s, int32_t copy, int64_t phase, int32_t most) {
    const Sizes &size = s.sizes();
    for (int32_t l = 0; l < size.layers; l++) {
        const Layer &layer = s.layer(l);
        const int64_t block = int64_t(layer.units) * size.copies;
        for (int32_t position = 0; position < layer.positions; position++) {
            const int64_t start = layer.offset + position * block + copy * layer.units;
            int32_t *first = s.ages[layer.group] + start;
            const int64_t since = phase - layer.onset - position;
            const bool none = since < 0 || since / size.period >= s.n_images[copy]
                              || since % size.period >= size.phases;
            const int32_t age = none ? -1 : int32_t(since % size.period);
            if (age == 0) {
                const int32_t *n_spikes = s.n_spikes[layer.group] + start;
                int32_t *n_before = s.n_before[layer.group] + start;
                const int64_t phases = since == 0 ? phase : size.period;
                if (most < phases * size.phase_steps)   // else nobody had the time for more
                    for (int32_t i = 0; i < layer.units; i++)
                        most = std::max(most, n_spikes[i] - n_before[i]);
                std::copy(n_spikes, n_spikes + layer.units, n_before);
                if (int32_t *images = s.images[layer.group]) {
                    const int32_t image = s.first_image[copy] + int32_t(since / size.period) * size.copies;
                    std::fill(images + start, images + start + layer.units, image);
                }
            }
            if (*first != age) std::fill(first, first + layer.units, age);
        }
    }
    return most;
}

// Between the threshold test and the arrival of spikes: every drive moves on to the next neuron of
// its unit, and inhibition that is due next is fetched.
template <class Weight>
inline int32_t travel(const State<Weight> &s, int32_t copy, int64_t step) {
    const Sizes &size = s.sizes();
    for (int32_t l = 0; l < size.layers; l++) {
        const Layer &layer = s.layer(l);
        const int64_t block = int64_t(layer.units) * size.copies, within = copy * layer.units;
        const size_t bytes = sizeof(double) * layer.units;
        for (int32_t position = layer.positions - 1; position >= 0; position--) {
            const int64_t at = layer.offset + position * block + within;
            double *drive = s.targets[layer.array] + at, *inhibition = s.inhibition + at;
            if (position > 0)
                std::memcpy(drive, drive - block, bytes);
            else
                std::memset(drive, 0, bytes);
            if (position > 1) {
                double *due = waiting(s, layer.pending_start, block, position, step + 1) + within;
                std::memcpy(inhibition, due, bytes);
                std::memset(due, 0, bytes);
            } else {
                std::memset(inhibition, 0, bytes);
            }
        }
    }
    return int32_t(step);
}

}  // namespace ann2brian

#endif
