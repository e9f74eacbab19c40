// Spike delivery through shared kernels, and the travel of drive along the gates' dendrites.
//
// One copy of every kernel serves all positions of a map and all images of a batch. The tables
// are laid out by models/delivery.py, which also holds the same two functions in NumPy; a test
// keeps the three code-generation targets equal. Included by C++ standalone and by Cython code.
#ifndef ANN2BRIAN_DELIVERY
#define ANN2BRIAN_DELIVERY
#include <cstdint>
#include <cstring>

namespace ann2brian {

// Columns of the route table; same order as Route in models/delivery.py.
struct Route {
    int32_t kind, offset, block, units, positions;      // 0: target gets drive, 1: read-out, 2: lateral
    int32_t height, width, channels;                    // source map
    int32_t pool_h, pool_w, pool_stride_h, pool_stride_w, pool_pad_h, pool_pad_w;
    int32_t pooled_h, pooled_w;
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
    int32_t groups, out_h, out_w, out_channels;
    int32_t kernel_start, gain_start;
    int32_t target_offset, target_units, readout_shift;
};

// Columns of the layer table; same order as Layer in models/delivery.py.
struct Layer {
    int32_t offset, units, positions, onset;
};

// Weight: the type of the kernels, the narrowest that holds them exactly.
template <class Weight>
struct State {
    const int32_t *sizes;                               // see the five functions below
    const int32_t *layers, *routes;
    const Weight *weights;
    const double *gains;
    double *drive, *inhibition, *pending, *score;
    char *clocked;
    const int32_t *n_images;
    int32_t n_layers() const { return sizes[0]; }
    int32_t n_copies() const { return sizes[1]; }
    int32_t n_neurons() const { return sizes[2]; }
    int32_t n_rows() const { return sizes[3]; }
    int32_t period() const { return sizes[4]; }
};

template <class Weight>
inline void add(double *__restrict__ to, const Weight *__restrict__ from, double gain, int32_t n) {
    for (int32_t i = 0; i < n; i++) to[i] += gain * double(from[i]);
}

// A spike of `neuron` arrives over `route` in step `step`; returns the number of targets.
template <class Weight>
inline int32_t deliver_spike(const State<Weight> &s, int32_t neuron, int32_t route, int64_t step) {
    const Route &r = reinterpret_cast<const Route *>(s.routes)[route];
    const int32_t within = neuron - r.offset;
    const int32_t position = within / r.block;          // block: units of all copies
    const int32_t rest = within - position * r.block;
    if (r.kind == 2) {                                  // inhibition inside the gate
        const Weight *h = s.weights + r.kernel_start + position * r.positions;
        int32_t reached = 0;
        for (int32_t later = position + 1; later < r.positions; later++) {
            if (h[later] == 0) continue;
            const int32_t target = neuron + (later - position) * r.block;
            if (later == position + 1)
                s.inhibition[target] += h[later];
            else
                s.pending[((step + later - position) % s.n_rows()) * s.n_neurons() + target] += h[later];
            reached++;
        }
        return reached;
    }
    const int32_t copy = rest / r.units;
    int32_t unit = rest - copy * r.units;
    const int32_t channel = unit % r.channels;
    unit /= r.channels;
    const int32_t x = unit % r.width, y = unit / r.width;
    const double gain = s.gains[r.gain_start + position];
    const int32_t group = channel / (r.channels / r.groups);
    const int32_t out_per_group = r.out_channels / r.groups;
    double *target = r.kind == 1 ? s.score : s.drive;
    target += r.target_offset + copy * r.target_units + group * out_per_group;
    if (r.kind == 1) target += (position + r.readout_shift) * s.n_copies() * r.target_units;
    // Kernel of one source channel: rows, columns from last to first, output channels. For stride
    // 1 a kernel row then lies in memory like the stretch of target row that it is added to.
    const int32_t row_size = r.kernel_w * out_per_group;
    const Weight *weights = s.weights + r.kernel_start + channel * r.kernel_h * row_size;
    const bool whole_rows = r.stride_w == 1 && r.groups == 1;
    int32_t reached = 0;
    // Pooled rows whose window holds y: window * stride - padding <= y < ... + size.
    int32_t first_py = y + r.pool_pad_h - r.pool_h + r.pool_stride_h;
    first_py = first_py < 0 ? 0 : first_py / r.pool_stride_h;
    int32_t first_px = x + r.pool_pad_w - r.pool_w + r.pool_stride_w;
    first_px = first_px < 0 ? 0 : first_px / r.pool_stride_w;
    for (int32_t py = first_py; py < r.pooled_h && py * r.pool_stride_h <= y + r.pool_pad_h; py++)
        for (int32_t px = first_px; px < r.pooled_w && px * r.pool_stride_w <= x + r.pool_pad_w; px++)
            for (int32_t ky = (py + r.pad_h) % r.stride_h; ky < r.kernel_h; ky += r.stride_h) {
                const int32_t top = py + r.pad_h - ky;
                if (top < 0) break;
                const int32_t oy = top / r.stride_h;
                if (oy >= r.out_h) continue;
                double *to = target + oy * r.out_w * r.out_channels;
                const Weight *from = weights + ky * row_size;
                if (whole_rows) {
                    const int32_t left = px + r.pad_w - r.kernel_w + 1;
                    const int32_t first = left < 0 ? 0 : left;
                    const int32_t last = px + r.pad_w < r.out_w ? px + r.pad_w : r.out_w - 1;
                    const int32_t n = (last - first + 1) * out_per_group;
                    if (n <= 0) continue;
                    add(to + first * out_per_group, from + (first - left) * out_per_group, gain, n);
                    reached += n;
                    continue;
                }
                for (int32_t kx = (px + r.pad_w) % r.stride_w; kx < r.kernel_w; kx += r.stride_w) {
                    const int32_t left = px + r.pad_w - kx;
                    if (left < 0) break;
                    const int32_t ox = left / r.stride_w;
                    if (ox >= r.out_w) continue;
                    add(to + ox * r.out_channels, from + (r.kernel_w - 1 - kx) * out_per_group,
                        gain, out_per_group);
                    reached += out_per_group;
                }
            }
    return reached;
}

// Between the threshold test of `step` and the arrival of its spikes: every drive moves on by one
// neuron, inhibition that is due next is fetched, and the clock is set for the next step.
template <class Weight>
inline int32_t advance_step(const State<Weight> &s, int32_t copy, int64_t step) {
    const int64_t next = step + 1;
    double *row = s.pending + (next % s.n_rows()) * s.n_neurons();
    for (int32_t l = 0; l < s.n_layers(); l++) {
        const Layer &layer = reinterpret_cast<const Layer *>(s.layers)[l];
        const int32_t block = layer.units * s.n_copies();
        const size_t bytes = sizeof(double) * layer.units;
        for (int32_t position = layer.positions - 1; position >= 0; position--) {
            const int64_t at = layer.offset + position * int64_t(block) + copy * layer.units;
            if (position > 0)
                std::memcpy(s.drive + at, s.drive + at - block, bytes);
            else
                std::memset(s.drive + at, 0, bytes);
            std::memcpy(s.inhibition + at, row + at, bytes);
            std::memset(row + at, 0, bytes);
            const int64_t since = next - layer.onset - position;
            const bool due = since >= 0 && since % s.period() == 0
                             && since / s.period() < s.n_images[copy];
            std::memset(s.clocked + at, due, layer.units);
        }
    }
    return int32_t(next);
}

}  // namespace ann2brian

#endif
