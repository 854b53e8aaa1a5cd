#!/bin/sh
# Linear regression by stochastic gradient descent, in awk: the rates come from lr.csv, the values go to metrics.csv.
awk -F, -v seed="$1" -v out="$CLRBENCH_RUN/metrics.csv" '
function row(    i) { y = 0; for (i = 1; i <= 4; i++) { x[i] = rand() * 2 - 1; y += i * x[i] }; y += (rand() - 0.5) / 5 }
function guess(    i, sum) { sum = 0; for (i = 1; i <= 4; i++) sum += w[i] * x[i]; return sum }
function loss_on(rows,    n, sum) { sum = 0; for (n = 0; n < rows; n++) { row(); sum += (guess() - y) ^ 2 }; return sum / rows }
BEGIN { srand(seed + 1); for (i = 1; i <= 4; i++) w[i] = rand(); print "step,lr,train_loss,validation_loss,test_loss" > out }
NR > 1 {
    row(); error = guess() - y
    printf "%d,%s,%.9g,", $1, $2, error ^ 2 > out
    for (i = 1; i <= 4; i++) w[i] -= $2 * 2 * error * x[i]
    if ($1 % 50) print "," > out
    else printf "%.9g,%.9g\n", loss_on(50), loss_on(200) > out
}' "$CLRBENCH_RUN/lr.csv"
