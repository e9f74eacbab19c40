"""Small networks as people write them, for tests of the import."""

import torch
import torch.nn.functional as F
from torch import nn


class BasicBlock(nn.Module):
    """torchvision's residual block."""

    def __init__(self, n_in, n_out, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.downsample = None
        if stride != 1 or n_in != n_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, x):
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet20(nn.Module):
    """Three stages of three blocks, after He et al. (2016) for CIFAR-10."""

    def __init__(self, width=4, n_in=3, n_classes=5):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layers = nn.ModuleList()
        n = width
        for stage in range(3):
            for block in range(3):
                stride = 2 if stage and not block else 1
                self.layers.append(BasicBlock(n, width * 2**stage, stride))
                n = width * 2**stage
        self.fc = nn.Linear(n, n_classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        for layer in self.layers:
            x = layer(x)
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class PaddedShortcut(nn.Module):
    """The shortcut without weights: every other place, channels filled up with zeros."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2, 1)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        shortcut = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 3))
        return self.fc(F.relu(self.conv(x) + shortcut).mean((2, 3)))


def vgg11_bn(n_in=3, n_classes=5, width=4):
    """torchvision's features and classifier of VGG-11 with batch norm, for 32x32 images."""
    layers, n = [], n_in
    for size in (1, "M", 2, "M", 4, 4, "M", 8, 8, "M", 8, 8, "M"):
        if size == "M":
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
        else:
            n_out = size * width
            layers += [nn.Conv2d(n, n_out, 3, padding=1), nn.BatchNorm2d(n_out), nn.ReLU(True)]
            n = n_out

    class VGG(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(*layers)
            self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
            self.classifier = nn.Sequential(
                nn.Linear(n, 16), nn.ReLU(True), nn.Dropout(), nn.Linear(16, n_classes)
            )

        def forward(self, x):
            x = self.avgpool(self.features(x))
            return self.classifier(x.view(x.size(0), -1))

    return VGG()


class InvertedResidual(nn.Module):
    """MobileNetV2's block."""

    def __init__(self, n_in, n_out, stride, expand):
        super().__init__()
        hidden = n_in * expand
        self.use_res_connect = stride == 1 and n_in == n_out
        layers = []
        if expand != 1:
            layers += [nn.Conv2d(n_in, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6()]
        layers += [
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(inplace=True),
            nn.Conv2d(hidden, n_out, 1, bias=False),
            nn.BatchNorm2d(n_out),
        ]
        self.conv = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


def mobilenet_v2(n_in=3, n_classes=5):
    """A short MobileNetV2."""
    return nn.Sequential(
        nn.Conv2d(n_in, 4, 3, 2, 1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU6(),
        InvertedResidual(4, 4, 1, 1),
        InvertedResidual(4, 6, 2, 6),
        InvertedResidual(6, 6, 1, 6),
        nn.Conv2d(6, 16, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(16, n_classes),
    )


class SEBlock(nn.Module):
    """Squeeze and excitation with a view in between."""

    def __init__(self, n, reduction=2, gate=nn.Sigmoid):
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(n, n // reduction, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(n // reduction, n, bias=False),
            gate(),
        )

    def forward(self, x):
        b, c, _, _ = x.size()
        y = self.fc(self.avg_pool(x).view(b, c)).view(b, c, 1, 1)
        return x * y.expand_as(x)


def se_net(n_in=3, n_classes=5, gate=nn.Sigmoid):
    return nn.Sequential(
        nn.Conv2d(n_in, 6, 3, padding=1),
        nn.ReLU(),
        SEBlock(6, gate=gate),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(96, n_classes),
    )


def curved_net(activation, n_in=3, n_classes=5):
    """Max pooling behind one activation, which is used again behind batch norm."""
    return nn.Sequential(
        nn.Conv2d(n_in, 6, 3, padding=1),
        activation,
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3),
        nn.BatchNorm2d(8),
        activation,
        nn.Flatten(),
        nn.Linear(32, n_classes),
    )


class Inception(nn.Module):
    """Four branches side by side."""

    def __init__(self, n_in):
        super().__init__()
        self.branch1 = nn.Conv2d(n_in, 2, 1)
        self.branch2 = nn.Sequential(nn.Conv2d(n_in, 2, 1), nn.Conv2d(2, 3, (1, 3), padding=(0, 1)))
        self.branch3 = nn.Sequential(nn.Conv2d(n_in, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 5, 1, 2))
        self.branch_pool = nn.Conv2d(n_in, 2, 1)

    def forward(self, x):
        pooled = F.avg_pool2d(x, kernel_size=3, stride=1, padding=1, count_include_pad=False)
        parts = [self.branch1(x), self.branch2(x), self.branch3(x), self.branch_pool(pooled)]
        return F.relu(torch.cat(parts, 1))


def inception_net(n_in=3, n_classes=5):
    return nn.Sequential(
        Inception(n_in),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        Inception(9),
        nn.AdaptiveAvgPool2d((2, 3)),
        nn.Flatten(),
        nn.Linear(54, n_classes),
    )


class ShuffleUnit(nn.Module):
    """ShuffleNetV2's unit: half of the channels passes, then all are shuffled."""

    def __init__(self, n):
        super().__init__()
        half = n // 2
        self.branch = nn.Sequential(
            nn.Conv2d(half, half, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            nn.Conv2d(half, half, 3, 1, 1, groups=half, bias=False),
            nn.BatchNorm2d(half),
        )

    def forward(self, x):
        x1, x2 = x.chunk(2, dim=1)
        out = torch.cat((x1, self.branch(x2)), dim=1)
        batch, channels, height, width = out.shape
        out = out.view(batch, 2, channels // 2, height, width)
        out = torch.transpose(out, 1, 2).contiguous()
        return out.view(batch, -1, height, width)


def shuffle_net(n_in=3, n_classes=5):
    return nn.Sequential(
        nn.Conv2d(n_in, 8, 3, 2, 1),
        nn.ReLU(),
        ShuffleUnit(8),
        ShuffleUnit(8),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(1),
        nn.Linear(8, n_classes),
    )


class DenseNet(nn.Module):
    """Batch norm before the convolutions, maps of all layers before."""

    def __init__(self, n_in=3, n_classes=5, growth=3, n_layers=3):
        super().__init__()
        self.stem = nn.Conv2d(n_in, 4, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(4 + i * growth) for i in range(n_layers))
        self.convs = nn.ModuleList(
            nn.Conv2d(4 + i * growth, growth, 3, padding=1) for i in range(n_layers)
        )
        n = 4 + n_layers * growth
        self.transition = nn.Sequential(
            nn.BatchNorm2d(n), nn.ReLU(), nn.Conv2d(n, 6, 1), nn.AvgPool2d(2)
        )
        self.head = nn.Linear(6, n_classes)

    def forward(self, x):
        features = [self.stem(x)]
        for norm, conv in zip(self.norms, self.convs, strict=True):
            features.append(conv(F.relu(norm(torch.cat(features, 1)))))
        x = self.transition(torch.cat(features, 1))
        return F.log_softmax(self.head(x.mean(dim=[2, 3])), dim=1)


class ConvNextBlock(nn.Module):
    """ConvNeXt's block with batch norm: a linear layer on the channels last, scaled."""

    def __init__(self, n):
        super().__init__()
        self.dwconv = nn.Conv2d(n, n, 7, padding=3, groups=n)
        self.norm = nn.BatchNorm2d(n)
        self.pwconv1 = nn.Linear(n, 2 * n)
        self.pwconv2 = nn.Linear(2 * n, n)
        self.gamma = nn.Parameter(torch.linspace(0.5, 1.5, n))

    def forward(self, x):
        y = self.norm(self.dwconv(x)).permute(0, 2, 3, 1)
        y = self.pwconv2(F.gelu(self.pwconv1(y))) * self.gamma
        return x + y.permute(0, 3, 1, 2)


def convnext(n_in=3, n_classes=5):
    return nn.Sequential(
        nn.Conv2d(n_in, 4, 2, stride=2),
        ConvNextBlock(4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, n_classes),
    )


class AudioNet(nn.Module):
    """M5-like, one-dimensional convolutions on a waveform."""

    def __init__(self, n_in=1, n_classes=5):
        super().__init__()
        self.conv1 = nn.Conv1d(n_in, 4, kernel_size=9, stride=4)
        self.bn1 = nn.BatchNorm1d(4)
        self.pool1 = nn.MaxPool1d(2)
        self.conv2 = nn.Conv1d(4, 6, kernel_size=3, dilation=2, padding="same")
        self.bn2 = nn.BatchNorm1d(6)
        self.fc1 = nn.Linear(6, n_classes)

    def forward(self, x):
        x = self.pool1(F.relu(self.bn1(self.conv1(x))))
        x = F.relu(self.bn2(self.conv2(x)))
        x = F.avg_pool1d(x, x.shape[-1])
        x = x.permute(0, 2, 1)
        return F.log_softmax(self.fc1(x), dim=2).squeeze(1)


class Functional(nn.Module):
    """LeNet in the functional style, with a buffer."""

    def __init__(self, n_in=1, n_classes=5):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, 4, 5)
        self.conv2 = nn.Conv2d(4, 6, 3)
        self.fc1 = nn.Linear(6 * 2 * 2, 8)
        self.fc2 = nn.Linear(8, n_classes)
        self.register_buffer("offset", torch.linspace(-1, 1, 4).view(1, 4, 1, 1))

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x - 0.25)), 2)
        x = F.leaky_relu(self.conv2(2 * x + self.offset), 0.2)
        x = F.max_pool2d(F.pad(x, (0, 1, 1, 0)), 2)
        x = x.reshape(len(x), -1)
        x = F.dropout(F.silu(self.fc1(x)), training=self.training)
        return 1 - self.fc2(x) / 3


def mlp(n_in=20, n_classes=5):
    """A perceptron on vectors."""
    return nn.Sequential(
        nn.BatchNorm1d(n_in),
        nn.Linear(n_in, 8),
        nn.ReLU(),
        nn.BatchNorm1d(8),
        nn.Dropout(),
        nn.Linear(8, n_classes),
    )
