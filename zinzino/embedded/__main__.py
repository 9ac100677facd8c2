from zinzino.embedded.guardian import main

main()
