"""The paper's claims, each as a command: python -m tinynet.experiments NAME.

setting      everything that decides one training run, and the sizes to choose from
networks     figure 2, and the four-layer network of figure 1
fit          one run: training, its results, its checkpoint
laboratory   many runs, in processes; what is done is not done again
page         tables, differences between runs, figures

Every other file here is an experiment: it says what the paper claims, what is run, and what is shown.
"""
