"""A loop of torch's: it is read, and not run."""

import torch
from torch import nn, optim
from torch.nn import functional as F

model = nn.Linear(8, 2)
optimizer = optim.AdamW(model.parameters(), lr=1e-3, fused=True)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=5, gamma=0.5)
criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
average = optim.swa_utils.AveragedModel(model)
scaler = torch.amp.GradScaler("cuda", init_scale=1024.0)
for x, y in []:
    optimizer.zero_grad()
    loss = criterion(model(x), y) + F.mse_loss(model(x), y)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
scheduler.step()
