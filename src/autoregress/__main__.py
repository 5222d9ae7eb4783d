from autoregress.cli import main

main()
