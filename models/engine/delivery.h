// Spike delivery through shared kernels, the age of every neuron's image, and the travel of drive
// along the chains of neurons that stand for one unit.
//
// One copy of every kernel serves all positions of a map and all images of a batch. The tables
// are laid out by layout.py; numpy_delivery.py holds the same functions in NumPy, and a test keeps the
// three code-generation targets equal. Included by C++ standalone and by Cython code.
#ifndef ANN2BRIAN_DELIVERY
#define ANN2BRIAN_DELIVERY
#include <algorithm>
#include <cstdint>
#include <cstring>

namespace ann2brian {

enum Kind { CONVOLUTION, SPARSE, LATERAL, WINDOW };

// Columns of the route table; same order as Route in layout.py.
struct Route {
    int32_t kind, offset, block, units, positions;
    int32_t height, width, channels;                    // source map
    int32_t pool_h, pool_w, pool_stride_h, pool_stride_w, pool_pad_h, pool_pad_w;
    int32_t pooled_h, pooled_w;
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int32_t groups, out_h, out_w, out_channels;
    int32_t kernel_start, columns_start, gain_start;
    int32_t array, target_offset, target_units;         // array: index into State::targets
    int32_t target_channels, first_channel;             // of the whole map, and where ours begin
    int32_t readout_row, first_phase;                   // row: -1 unless the read-out is the target
    int32_t is_binary;                                  // kernel_start: index into State::signs
};

// Columns of the layer table; same order as Layer in layout.py.
struct Layer {
    int32_t group, array, offset, units, positions, onset;
};

// Columns of the table of sizes; same order as Sizes in layout.py.
struct Sizes {
    int32_t layers, copies, chained, rows, readout_rows, phase_steps, phases, period, every, steps;
};

// Weight: the type of the kernels, the narrowest that holds them exactly. Pointers in the order of
// TABLES in delivery.py, then of State in numpy_delivery.py.
template <class Weight>
struct State {
    const int32_t *sizes_table, *layers_table, *routes_table;
    const Weight *weights;
    const double *gains;
    const int32_t *signs;                               // 32 to a number, the lowest bit first
    const int32_t *columns;                             // of sparse routes: first weights, targets
    double *const *targets;                             // what spikes add to, one array a variable
    int32_t *const *ages;                               // one array a group of neurons
    double *inhibition, *pending;                       // of the group of chains, if there is one
    double *arrivals, *events;                          // counts, one row a route, one entry a step
    const int32_t *n_images;                            // of each copy
    const Sizes &sizes() const { return *reinterpret_cast<const Sizes *>(sizes_table); }
    const Layer &layer(int32_t i) const { return reinterpret_cast<const Layer *>(layers_table)[i]; }
    const Route &route(int32_t i) const { return reinterpret_cast<const Route *>(routes_table)[i]; }
};

// a / b for a >= 0, without the division where the answer is plain.
inline int32_t quotient(int32_t a, int32_t b) {
    return a < b ? 0 : b == 1 ? a : b == 2 ? a >> 1 : a / b;
}

// Add `n` weights of a kernel, from entry `at` on.
template <class Weight>
inline void add(double *__restrict__ to, const Weight *__restrict__ kernel, int64_t at, double gain,
                int32_t n) {
    const Weight *from = kernel + at;
    for (int32_t i = 0; i < n; i++) to[i] += gain * double(from[i]);
}

// The same for weights of one bit: +gain where it is set, -gain elsewhere.
struct Signs {
    const int32_t *packed;
    uint32_t from(int64_t at) const {                   // 32 bits from bit `at` on
        const uint64_t low = uint32_t(packed[at >> 5]), high = uint32_t(packed[(at >> 5) + 1]);
        return uint32_t((high << 32 | low) >> (at & 31));
    }
};

inline void add(double *__restrict__ to, Signs kernel, int64_t at, double gain, int32_t n) {
    for (; n >= 32; n -= 32, at += 32, to += 32) {
        const uint32_t bits = kernel.from(at);
        for (int32_t i = 0; i < 32; i++) to[i] += bits >> i & 1 ? gain : -gain;
    }
    const uint32_t bits = n > 0 ? kernel.from(at) : 0;
    for (int32_t i = 0; i < n; i++) to[i] += bits >> i & 1 ? gain : -gain;
}

// Inhibition (or excitation) of the later neurons of the same unit; returns their number.
template <class Weight>
inline int32_t inhibit(const State<Weight> &s, const Route &r, int32_t neuron, int64_t step) {
    const Sizes &size = s.sizes();
    const int32_t position = (neuron - r.offset) / r.block;
    const Weight *h = s.weights + r.kernel_start + position * r.positions;
    int32_t reached = 0;
    for (int32_t later = position + 1; later < r.positions; later++) {
        if (h[later] == 0) continue;
        const int32_t lag = later - position, target = neuron + lag * r.block;
        if (lag == 1)
            s.inhibition[target] += h[later];
        else
            s.pending[((step + lag) % size.rows) * size.chained + target] += h[later];
        reached++;
    }
    return reached;
}

// Kernel rows of one source channel at the pooled position (py, px); returns targets reached.
// The channel's part of the kernel begins at entry `start`.
template <class Kernel>
inline int32_t convolve(const Route &r, double *target, Kernel kernel, int64_t start, double gain,
                        int32_t py, int32_t px) {
    // Kernel of one source channel: rows, columns from last to first, output channels. For stride
    // 1 a kernel row then lies in memory like the stretch of target row that it is added to.
    const int32_t out_per_group = r.groups == 1 ? r.out_channels : r.out_channels / r.groups;
    const int32_t row_size = r.kernel_w * out_per_group;
    const bool whole_rows = r.stride_w == 1 && r.dilation_w == 1
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
        double *to = target + oy * r.out_w * pixel;
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
            add(to + ox * pixel, kernel, from + (r.kernel_w - 1 - kx) * out_per_group, gain,
                out_per_group);
            reached += out_per_group;
        }
    }
    return reached;
}

// Weights of one source unit's own, each to its own target; returns their number.
template <class Weight>
inline int32_t scatter(const State<Weight> &s, const Route &r, double *target, double gain,
                       int32_t unit) {
    const int32_t *first = s.columns + r.columns_start, *columns = first + r.units + 1;
    const Weight *weights = s.weights + r.kernel_start;
    for (int32_t i = first[unit]; i < first[unit + 1]; i++)
        target[columns[i]] += gain * double(weights[i]);
    return first[unit + 1] - first[unit];
}

// Targets of a spike in a map: through the pooling windows that hold it, then the kernel.
template <class Weight>
inline int32_t spread(const State<Weight> &s, const Route &r, int32_t neuron) {
    const int32_t within = neuron - r.offset;
    const int32_t position = quotient(within, r.block);  // block: units of all copies
    const int32_t rest = within - position * r.block;
    const int32_t copy = quotient(rest, r.units);
    const int32_t unit = rest - copy * r.units;
    const double gain = s.gains[r.gain_start + position];
    int64_t at = r.target_offset + copy * int64_t(r.target_units);
    if (r.readout_row >= 0)
        at += ((position + r.readout_row) % s.sizes().readout_rows) * int64_t(s.sizes().copies)
              * r.target_units;
    if (r.kind == SPARSE) return scatter(s, r, s.targets[r.array] + at, gain, unit);
    const int32_t place = unit / r.channels, channel = unit - place * r.channels;
    const int32_t y = quotient(place, r.width), x = place - y * r.width;
    const int32_t out_per_group = r.groups == 1 ? r.out_channels : r.out_channels / r.groups;
    const int32_t group = r.groups == 1 ? 0 : channel / (r.channels / r.groups);
    const int64_t start = r.kernel_start
                          + channel * int64_t(r.kernel_h) * r.kernel_w * out_per_group;
    int32_t reached = 0;
    // Pooled rows whose window holds y: window * stride - padding <= y < ... + size.
    int32_t first_py = y + r.pool_pad_h - r.pool_h + r.pool_stride_h;
    first_py = first_py < 0 ? 0 : quotient(first_py, r.pool_stride_h);
    int32_t first_px = x + r.pool_pad_w - r.pool_w + r.pool_stride_w;
    first_px = first_px < 0 ? 0 : quotient(first_px, r.pool_stride_w);
    for (int32_t py = first_py; py < r.pooled_h && py * r.pool_stride_h <= y + r.pool_pad_h; py++)
        for (int32_t px = first_px; px < r.pooled_w && px * r.pool_stride_w <= x + r.pool_pad_w; px++) {
            if (r.kind == WINDOW) {                     // one variable for each place in a window
                const int32_t place = (y + r.pool_pad_h - py * r.pool_stride_h) * r.pool_w
                                      + x + r.pool_pad_w - px * r.pool_stride_w;
                s.targets[r.array + place][at + (py * r.pooled_w + px) * r.channels + channel]
                    += gain * double(s.weights[r.kernel_start]);
                reached++;
            } else {
                double *target = s.targets[r.array] + at + r.first_channel + group * out_per_group;
                reached += r.is_binary
                    ? convolve(r, target, Signs{s.signs}, start, gain, py, px)
                    : convolve(r, target, s.weights, start, gain, py, px);
            }
        }
    return reached;
}

// A spike of `neuron` arrives over `route` in step `step`; returns the number of targets.
template <class Weight>
inline int32_t deliver_spike(const State<Weight> &s, int32_t neuron, int32_t route, int64_t step) {
    const Sizes &size = s.sizes();
    const Route &r = s.route(route);
    const int32_t reached = r.kind == LATERAL ? inhibit(s, r, neuron, step) : spread(s, r, neuron);
    const int32_t since = std::max(quotient(int32_t(step), size.phase_steps) - r.first_phase, 0);
    const int32_t within = since - size.period * quotient(since, size.period);
    const int32_t at = std::min(quotient(within, size.every), size.steps - 1);
    s.arrivals[route * size.steps + at] += 1;
    s.events[route * size.steps + at] += reached;
    return reached;
}

// At the start of `phase`: how many phases ago the present image reached each neuron of a copy,
// or -1 for none.
template <class Weight>
inline int32_t set_ages(const State<Weight> &s, int32_t copy, int64_t phase) {
    const Sizes &size = s.sizes();
    for (int32_t l = 0; l < size.layers; l++) {
        const Layer &layer = s.layer(l);
        const int64_t block = int64_t(layer.units) * size.copies;
        for (int32_t position = 0; position < layer.positions; position++) {
            int32_t *first = s.ages[layer.group] + layer.offset + position * block
                             + copy * layer.units;
            const int64_t since = phase - layer.onset - position;
            const bool none = since < 0 || since / size.period >= s.n_images[copy]
                              || since % size.period >= size.phases;
            const int32_t age = none ? -1 : int32_t(since % size.period);
            if (*first != age) std::fill(first, first + layer.units, age);
        }
    }
    return int32_t(phase);
}

// Between the threshold test and the arrival of spikes: every drive moves on to the next neuron of
// its unit, and inhibition that is due next is fetched.
template <class Weight>
inline int32_t travel(const State<Weight> &s, int32_t copy, int64_t step) {
    const Sizes &size = s.sizes();
    double *row = s.pending + ((step + 1) % size.rows) * size.chained;
    for (int32_t l = 0; l < size.layers; l++) {
        const Layer &layer = s.layer(l);
        double *drive = s.targets[layer.array];
        const int64_t block = int64_t(layer.units) * size.copies;
        const size_t bytes = sizeof(double) * layer.units;
        for (int32_t position = layer.positions - 1; position >= 0; position--) {
            const int64_t at = layer.offset + position * block + copy * layer.units;
            if (position > 0)
                std::memcpy(drive + at, drive + at - block, bytes);
            else
                std::memset(drive + at, 0, bytes);
            std::memcpy(s.inhibition + at, row + at, bytes);
            std::memset(row + at, 0, bytes);
        }
    }
    return int32_t(step);
}

}  // namespace ann2brian

#endif
